package attributes

import (
	"unsafe"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/tracewright/tracewright/internal/pdatalayout"
)

// PrefetchList lets the processor fetch the list of a map that is read soon.
func PrefetchList(m pcommon.Map) {
	if known {
		pdatalayout.PrefetchList(plain(m))
	}
}

// PrefetchValues lets the processor fetch what the list of a map refers to, which is at hand already.
func PrefetchValues(m pcommon.Map) {
	if known {
		pdatalayout.PrefetchValues(plain(m))
	}
}

func plain(m pcommon.Map) []pdatalayout.Attribute {
	return *(*pdatalayout.Wrapper[[]pdatalayout.Attribute])(unsafe.Pointer(&m)).Orig
}
