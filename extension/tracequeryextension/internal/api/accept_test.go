package api

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestWantsProtobuf(t *testing.T) {
	for accept, want := range map[string]string{
		"":                                  "",
		"*/*":                               "",
		"application/json":                  "",
		"application/x-protobuf":            "application/x-protobuf",
		"application/protobuf":              "application/protobuf",
		"Application/X-Protobuf ":           "application/x-protobuf",
		"text/html, */*;q=0.8":              "",
		"application/x-protobuf, */*;q=0.1": "application/x-protobuf",
		"application/json, application/x-protobuf":            "",
		"application/json;q=0.5,application/x-protobuf;q=0.9": "application/x-protobuf",
		"application/x-protobuf;q=0":                          "",
		"application/x-protobuf;q=much":                       "",
		"application/x-protobuf;q=0.2, application/protobuf":  "application/protobuf",
		"nonsense;;;, /, application/x-protobuf":              "application/x-protobuf",
	} {
		name, asked := wantsProtobuf([]string{accept})
		if !asked {
			name = ""
		}
		require.Equal(t, want, name, accept)
	}
	name, wanted := wantsProtobuf([]string{"text/html", "application/x-protobuf"})
	require.True(t, wanted)
	require.Equal(t, "application/x-protobuf", name)
	_, wanted = wantsProtobuf(nil)
	require.False(t, wanted)
}

func FuzzAccept(f *testing.F) {
	f.Add("application/x-protobuf;q=0.9, */*")
	f.Fuzz(func(t *testing.T, accept string) {
		if name, wanted := wantsProtobuf([]string{accept}); wanted {
			require.Contains(t, protobufTypes, name)
		}
	})
}
