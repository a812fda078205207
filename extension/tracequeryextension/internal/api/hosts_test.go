package api

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestHosts(t *testing.T) {
	h := newHosts([]string{"Traces.example", "::1"})
	for host, want := range map[string]bool{
		"localhost": true, "LOCALHOST:16686": true, "localhost.:1": true, "traces.example": true, "traces.EXAMPLE:443": true, "traces.example.": true,
		"127.0.0.1:16686": true, "10.1.2.3": true, "[::1]:16686": true, "[2001:db8::1]": true, "[fe80::1%25eth0]:16686": true, "": true,
		"evil.example": false, "traces.example.evil": false, "localhost.evil.example:16686": false, "127.0.0.1.evil.example": false,
		"xtraces.example": false, "0x7f.1": false, "2130706433": false, "a:b:c": false, "*": false, "[evil.example]": false,
	} {
		require.Equal(t, want, h.allow(host), host)
	}
	require.True(t, newHosts([]string{"*"}).allow("anything.example"))
}

func TestLoopbackNames(t *testing.T) {
	for host, want := range map[string]bool{
		"localhost:1": true, "127.9.9.9": true, "[::1]:1": true, "10.0.0.1": false, "": false, "localhost.evil": false, "[::ffff:127.0.0.1]": true,
	} {
		require.Equal(t, want, loopbackName(host), host)
	}
}
