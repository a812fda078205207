package rollup

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestHostService(t *testing.T) {
	for peer, want := range map[string]string{
		"stock":                             "stock",
		"stock:8080":                        "stock",
		"stock.shop.svc":                    "stock",
		"stock.shop.svc.cluster.local:8080": "stock",
		"stock.internal":                    "stock",
		"stock.local:1":                     "stock",
		"stock.shop":                        "", // the internet has such names
		"stock.example.com:443":             "",
		"localhost:8080":                    "",
		"127.0.0.1:8080":                    "",
		"[::1]:8080":                        "",
		"2001:db8::1":                       "",
		"":                                  "",
		":80":                               ":80", // nobody is called so
		".svc":                              "",
	} {
		require.Equal(t, want, hostService(peer), peer)
	}
	require.True(t, namesService("a.b.c", "a.b.c"))
	require.True(t, namesService("stock:80", "stock"))
	require.False(t, namesService("stock.example.com", "stock"))
}
