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
		"a1b22z":                                "a#b#z",
		"a1b22c333z":                            "#", // digits in three places: an id
		"ord_8fGh2Kq9x":                         "ord_#",
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

func TestAppendMessage(t *testing.T) {
	for message, want := range map[string]string{
		"":                                          "",
		"order 4711: no shelf":                      "order #: no shelf",
		`no shelf "blue" for 'cart 7'`:              "no shelf # for #",
		`''`:                                        "#",
		`can't open the users' file`:                `can't open the users' file`, // apostrophes
		`key 'it's here' is gone`:                   "key # is gone",
		`say "so`:                                   `say "so`,
		"dial tcp 10.1.2.3:5432: refused":           "dial tcp #: refused",
		"dial tcp [::1]:5432: refused":              "dial tcp [#]:#: refused",
		"no route to fe80::1%2":                     "no route to #::#%#", // a zone is no part of an address here
		"no route to 2001:db8:0:1::7.":              "no route to #.",
		"std::bad_alloc":                            "std::bad_alloc",
		"mail to bob+x@mail.example.":               "mail to #.",
		"GET http://a.example:80/x?y=1,z:":          "GET #:",
		"Get (https://a.example/x) failed":          "Get (#) failed",
		"host orders.svc:8080":                      "host orders.svc:#",
		"8f14e45f-ceea-467f-a0e6-4b2f7a1c9d3e/8f14": "#/#",
	} {
		require.Equal(t, want, string(appendMessage(nil, message)), "%q", message)
	}
}

func FuzzAppendMessage(f *testing.F) {
	f.Add(`order 4711 of "x" at http://a.example/1?a=b, 10.1.2.3:5 'it's' bob@b.c`)
	f.Add(`5'a' "x"@b.c a@b-"x".c '"q"'x`)
	f.Fuzz(func(t *testing.T, message string) {
		out := appendMessage(nil, message)
		require.LessOrEqual(t, len(out), len(message))
		require.False(t, bytes.ContainsAny(out, "0123456789"), "%q", out)
		require.Equal(t, string(out), string(appendMessage(nil, string(out))), "to normalise again changes nothing")
	})
}
