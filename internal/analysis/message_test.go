package analysis

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestAppendNormalized(t *testing.T) {
	for message, want := range map[string]string{
		"":                                      "",
		"no shelf":                              "no shelf",
		"order 4711: no shelf":                  "order #: no shelf",
		"user42 waited 10ms":                    "user# waited #ms",
		"a1b22c333z":                            "a#b#c#z",
		"at 0x7ffee4 of DEADBEEF01":             "at # of #",
		"deadbeef bad cafe":                     "deadbeef bad cafe", // words without a digit
		"8f14e45f-ceea-467f-a0e6-4b2f7a1c9d3e.": "#.",
		"id=8F14E45F-CEEA-467F-A0E6-4B2F7A1C9D3E": "id=#",
		// One character too many is no UUID, but its parts are hex.
		"8f14e45f-ceea-467f-a0e6-4b2f7a1c9d3e0": "#-ceea-#-#-#",
		"10.1.2.3:5432":                         "#.#.#.#:#",
		"Größe 5 über":                          "Größe # über",
		"\xff1\xfe":                             "\xff#\xfe",
		"0x":                                    "#", // a hex prefix has a digit
	} {
		require.Equal(t, want, string(appendNormalized(nil, message)), "%q", message)
	}
}

func FuzzAppendNormalized(f *testing.F) {
	f.Add("order 4711 of 8f14e45f-ceea-467f-a0e6-4b2f7a1c9d3e: 0x7f, user42")
	f.Fuzz(func(t *testing.T, message string) {
		out := appendNormalized(nil, message)
		require.LessOrEqual(t, len(out), len(message))
		require.False(t, bytes.ContainsAny(out, "0123456789"), "%q", out)
		require.Equal(t, out, appendNormalized(nil, string(out)), "to normalise again changes nothing")
	})
}
