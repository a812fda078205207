package address

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestAllows(t *testing.T) {
	for name, test := range map[string]struct {
		purpose Purpose
		list    []string
		allowed []string
		refused []string
	}{
		"nothing":                 {Listen, nil, nil, []string{"localhost:1", ":1"}},
		"localhost":               {Listen, []string{"localhost"}, []string{"localhost:1", "LOCALHOST:1", "127.0.0.1:1", "127.9.9.9:1", "[::1]:1", "[::ffff:127.0.0.1]:1"}, []string{":1", "0.0.0.0:1", "[::]:1", "10.0.0.1:1", "localhost.evil.example:1"}},
		"loopback":                {Listen, []string{"127.0.0.1:5"}, []string{"127.0.0.1:5", "localhost:5"}, []string{"127.0.0.1:6", "127.0.0.2:5"}},
		"ports":                   {Listen, []string{"a:1-3", "b:7"}, []string{"a:1", "a:3", "b:7"}, []string{"a:0", "a:4", "b:1", "c:1"}},
		"all":                     {Listen, []string{"0.0.0.0:4317"}, []string{":4317", "10.0.0.1:4317", "localhost:4317", "[::]:4317"}, []string{":4318"}},
		"all of v6":               {Listen, []string{"::"}, []string{":4317", "[::1]:1"}, nil},
		"v6":                      {Listen, []string{"[fd00::1]:4317", "fd00::2"}, []string{"[fd00::1]:4317", "[fd00::2]:1"}, []string{"[fd00::1]:4318", "[::]:4317"}},
		"zero dials nothing else": {Dial, []string{"0.0.0.0"}, []string{"0.0.0.0:1"}, []string{"10.0.0.1:1"}},
		"domain":                  {Dial, []string{"*.svc.local:9092"}, []string{"a.svc.local:9092", "b.a.SVC.local:9092"}, []string{"svc.local:9092", "a.svc.local:9093", "asvc.local:9092", "a.svc.local.evil:9092"}},
		"network":                 {Dial, []string{"10.0.0.0/8", "fd00::/8"}, []string{"10.9.9.9:1", "[fd12::1]:1"}, []string{"11.0.0.1:1", "ten.example:1"}},
		"network with ports":      {Dial, []string{"10.0.0.0/8:9092"}, []string{"10.9.9.9:9092"}, []string{"10.9.9.9:9093"}},
		"any":                     {Dial, []string{"*"}, []string{"a:1", "https://b/x"}, nil},
		"urls":                    {Dial, []string{"a:443"}, []string{"https://a", "https://a:443/x?y", "https://u:p@a/"}, []string{"http://a", "https://b"}},
	} {
		t.Run(name, func(t *testing.T) {
			list, err := ParseList(test.list, test.purpose)
			require.NoError(t, err)
			for _, text := range test.allowed {
				at, err := Parse(text)
				require.NoError(t, err)
				require.True(t, list.Allows(at), text)
			}
			for _, text := range test.refused {
				at, err := Parse(text)
				require.NoError(t, err)
				require.False(t, list.Allows(at), text)
			}
		})
	}
}

func TestPatternsThatAreNone(t *testing.T) {
	for _, text := range []string{"", ":1", "a:b", "a:3-1", "a:70000", "a:1-", "a b", "*a", "https://a", "10.0.0.0/33", "a/b"} {
		_, err := ParseList([]string{text}, Dial)
		require.Error(t, err, text)
	}
	for _, text := range []string{"*", "*.a", "10.0.0.0/8"} {
		_, err := ParseList([]string{text}, Listen)
		require.Error(t, err, text)
	}
}

func FuzzParse(f *testing.F) {
	for _, text := range []string{"localhost:1", ":1", "[::1]:70000", "https://a:b/", "://", "a", "\x00:1", "http://[::1"} {
		f.Add(text)
	}
	list, err := ParseList([]string{"localhost", "10.0.0.0/8", "*.a"}, Dial)
	require.NoError(f, err)
	f.Fuzz(func(t *testing.T, text string) {
		at, err := Parse(text)
		if err != nil {
			return
		}
		list.Allows(at)
		if again, err := Parse(at.String()); err == nil {
			require.Equal(t, at, again)
		}
	})
}
