package conventions

import (
	"math"

	"go.opentelemetry.io/collector/pdata/pcommon"
)

// Str is the text that the attribute holds; empty where it is absent or no text.
func Str(attrs pcommon.Map, key string) string {
	if v, ok := attrs.Get(key); ok && v.Type() == pcommon.ValueTypeStr {
		return v.Str()
	}
	return ""
}

// Int is the integer that the attribute holds; 0 where it is absent or no integer.
func Int(attrs pcommon.Map, key string) int64 {
	if v, ok := attrs.Get(key); ok && v.Type() == pcommon.ValueTypeInt {
		return v.Int()
	}
	return 0
}

// Nanoseconds is the time in Unix nanoseconds; one that int64 cannot hold counts as 0.
func Nanoseconds(t pcommon.Timestamp) int64 {
	if t > math.MaxInt64 {
		return 0
	}
	return int64(t)
}
