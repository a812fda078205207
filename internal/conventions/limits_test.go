package conventions_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/tracewright/tracewright/internal/conventions"
)

func TestShortName(t *testing.T) {
	exact := strings.Repeat("x", 256)
	for name, test := range map[string]struct{ given, want string }{
		"empty":                  {"", ""},
		"usual":                  {"GET /orders/{id}", "GET /orders/{id}"},
		"just fits":              {exact, exact},
		"too long":               {exact + "y", exact},
		"cut before a character": {strings.Repeat("x", 255) + "ä", strings.Repeat("x", 255)},
		"cut behind one":         {strings.Repeat("x", 254) + "ä" + "y", strings.Repeat("x", 254) + "ä"},
		"four bytes":             {strings.Repeat("x", 253) + "😀", strings.Repeat("x", 253)},
		// No character begins within the last four bytes: there is nothing to cut between.
		"not UTF-8": {strings.Repeat("\x80", 300), strings.Repeat("\x80", 252)},
	} {
		t.Run(name, func(t *testing.T) {
			require.Equal(t, test.want, conventions.ShortName(test.given))
			if utf8.ValidString(test.given) {
				require.True(t, utf8.ValidString(test.want))
			}
		})
	}
}

func TestExtentOf(t *testing.T) {
	list := func(fill func(pcommon.Slice)) pcommon.Value {
		v := pcommon.NewValueSlice()
		fill(v.Slice())
		return v
	}
	bytes := pcommon.NewValueBytes()
	bytes.Bytes().FromRaw([]byte{1, 2, 3})
	deep := pcommon.NewValueEmpty()
	for v, i := deep, 0; i < 10_000; i++ {
		if i%2 == 0 {
			v = v.SetEmptySlice().AppendEmpty()
		} else {
			v = v.SetEmptyMap().PutEmpty("k")
		}
	}
	for name, test := range map[string]struct {
		value pcommon.Value
		want  conventions.Extent
	}{
		"empty":       {pcommon.NewValueEmpty(), conventions.Extent{}},
		"number":      {pcommon.NewValueInt(7), conventions.Extent{}},
		"text":        {pcommon.NewValueStr("text"), conventions.Extent{Bytes: 4}},
		"bytes":       {bytes, conventions.Extent{Bytes: 3}},
		"empty list":  {pcommon.NewValueSlice(), conventions.Extent{Depth: 1}},
		"two in list": {list(func(s pcommon.Slice) { s.AppendEmpty().SetStr("ab"); s.AppendEmpty() }), conventions.Extent{Depth: 1, Values: 2, Bytes: 2}},
		"map in list": {
			list(func(s pcommon.Slice) { s.AppendEmpty().SetEmptyMap().PutStr("key", "value"); s.AppendEmpty().SetInt(1) }),
			conventions.Extent{Depth: 2, Values: 3, Bytes: 8},
		},
		"deep": {deep, conventions.Extent{Depth: 10_000, Values: 10_000, Bytes: 5_000}},
	} {
		t.Run(name, func(t *testing.T) { require.Equal(t, test.want, conventions.ExtentOf(test.value)) })
	}
}
