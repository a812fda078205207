package tracesources

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"time"
)

// record is a source as it is stored.
type record struct {
	Source
	Changed time.Time `json:"changed"`
}

// Encode writes a source for a storage.
func Encode(s *Source, changed time.Time) ([]byte, error) {
	value, err := json.Marshal(record{*s, changed.UTC()})
	if err != nil {
		return nil, fmt.Errorf("encode source %q: %w", s.Name, err)
	}
	return value, nil
}

// Decode reads what Encode wrote.
func Decode(value []byte) (s Source, changed time.Time, err error) {
	var r record
	decoder := json.NewDecoder(bytes.NewReader(value))
	decoder.UseNumber()
	if err := decoder.Decode(&r); err != nil {
		return Source{}, time.Time{}, fmt.Errorf("decode source: %w", err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return Source{}, time.Time{}, errors.New("decode source: something stands behind it")
	}
	r.Configuration = Normalized(r.Configuration)
	return r.Source, r.Changed, nil
}

// Normalized is a configuration that was read from JSON with the values that one has which was read from YAML: int and float64 in the place of
// json.Number. It is not nil.
func Normalized(configuration map[string]any) map[string]any {
	if configuration == nil {
		return map[string]any{}
	}
	return normalize(configuration).(map[string]any)
}

func normalize(value any) any {
	switch v := value.(type) {
	case map[string]any:
		c := make(map[string]any, len(v))
		for key, inner := range v {
			c[key] = normalize(inner)
		}
		return c
	case []any:
		c := make([]any, len(v))
		for i, inner := range v {
			c[i] = normalize(inner)
		}
		return c
	case json.Number:
		if n, err := v.Int64(); err == nil {
			return int(n)
		}
		f, err := v.Float64()
		switch {
		case err != nil:
			return v.String()
		case f == math.Trunc(f) && math.Abs(f) < 1<<53:
			return int(f) // 20.0 is 20 when it is read again
		}
		return f
	}
	return value
}
