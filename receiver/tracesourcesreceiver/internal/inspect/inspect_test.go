package inspect

import (
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/config/configgrpc"
	"go.opentelemetry.io/collector/config/confighttp"
	"go.opentelemetry.io/collector/config/configoptional"
	"go.opentelemetry.io/collector/confmap"
)

type config struct {
	HTTP   configoptional.Optional[confighttp.ServerConfig] `mapstructure:"http"`
	Absent configoptional.Optional[confighttp.ServerConfig] `mapstructure:"absent"`
	Client configgrpc.ClientConfig                          `mapstructure:"client"`
	Inner  struct {
		Endpoint string            `mapstructure:"endpoint"`
		Labels   map[string]string `mapstructure:"labels"`
	} `mapstructure:",squash"`
	Servers   []string `mapstructure:"servers"`
	KeyFile   string   `mapstructure:"key_file"`
	URLPath   string   `mapstructure:"traces_url_path"`
	APIKey    string   `mapstructure:"api_key"`
	Untagged  string
	Left      string         `mapstructure:"-"`
	Rest      map[string]any `mapstructure:",remain"`
	Extension component.ID   `mapstructure:"extension"`
	hidden    string
}

func TestWalk(t *testing.T) {
	c := &config{
		HTTP: configoptional.Default(confighttp.NewDefaultServerConfig()), Absent: configoptional.Default(confighttp.NewDefaultServerConfig()),
		hidden: "x", Left: "x",
	}
	require.NoError(t, confmap.NewFromStringMap(map[string]any{
		"http": map[string]any{
			"endpoint": "localhost:1", "transport": "tcp", "middlewares": []any{map[string]any{"id": "raw_spans"}},
			"tls":  map[string]any{"cert_file": "a", "key_pem": "b", "min_version": "1.3"},
			"cors": map[string]any{"allowed_origins": []any{"https://a"}},
		},
		"client":   map[string]any{"endpoint": "b:2", "authority": "b"},
		"endpoint": "localhost:3", "labels": map[string]any{"password": "c", "team": "red"}, "servers": []any{"d:4", ""},
		"key_file": "e", "traces_url_path": "/f", "api_key": "g", "untagged": "h", "extension": "bearertokenauth",
		"more": map[string]any{"list": []any{map[string]any{"ca_file": "i", "host": "j:5"}}, "n": 1},
	}).Unmarshal(c))
	kinds := make(map[string]Kind)
	Walk(c, func(p *Place) {
		require.NotContains(t, kinds, p.Path)
		kinds[p.Path] = p.Kind
		if p.Path == "http.tls.cert_file" {
			p.Set("changed")
		}
	})
	for path, kind := range kinds {
		if kind == Other {
			delete(kinds, path)
		}
	}
	require.Equal(t, map[string]Kind{
		"http.endpoint": Listen, "http.transport": Transport, "http.middlewares[0]": Middleware, "http.tls.cert_file": File, "http.tls.key_pem": Secret,
		"client.endpoint": Dial, "endpoint": Listen, "labels.password": Secret, "servers[0]": Dial, "key_file": File, "api_key": Secret,
		"more.list[0].ca_file": File, "more.list[0].host": Dial,
	}, kinds)
	require.Equal(t, "changed", c.HTTP.Get().TLS.Get().CertFile)
	require.Equal(t, []*confighttp.ServerConfig{c.HTTP.Get()}, Sections[confighttp.ServerConfig](c))
}

// A value that holds itself ends the walk all the same.
func TestWalkEnds(t *testing.T) {
	loop := map[string]any{"a": "b"}
	loop["loop"] = loop
	n := 0
	Walk(&struct {
		Any any `mapstructure:"any"`
	}{loop}, func(*Place) { n++ })
	require.Positive(t, n)
}

func TestUnknownKeys(t *testing.T) {
	type object = map[string]any
	type squashed struct {
		confighttp.ServerConfig `mapstructure:",squash"`
		Path                    string `mapstructure:"path"`
	}
	type open struct {
		confighttp.ServerConfig `mapstructure:",squash"`
		Rest                    map[string]any `mapstructure:",remain"`
	}
	type all struct {
		One  configoptional.Optional[squashed] `mapstructure:"one"`
		List []*squashed                       `mapstructure:"list"`
		Map  map[string]squashed               `mapstructure:"map"`
		Open open                              `mapstructure:"open"`
		Any  any                               `mapstructure:"any"`
		GRPC configgrpc.ServerConfig           `mapstructure:"grpc"`
	}
	good := object{
		"endpoint": "localhost:1", "path": "/", "tls": object{"cert_file": "a"}, "cors": object{"allowed_origins": []any{"b"}}, "max_request_body_size": 1,
		"keepalive": object{"idle_timeout": "1s"}, "middlewares": []any{object{"id": "c"}}, "compression_algorithms": []any{""}, "read_timeout": "1s",
	}
	bad := object{"endpont": "localhost:1", "path": "/"}
	require.Empty(t, UnknownKeys(&all{}, object{
		"one": good, "list": []any{good}, "map": object{"a": good}, "open": bad, "any": bad, "grpc": object{"is told by the decoder": 1}, "this too": 1,
	}))
	require.Equal(t, []string{"list[1].endpont", "map.a.endpont", "one.endpont"}, UnknownKeys(&all{}, object{
		"one": bad, "list": []any{good, bad}, "map": object{"a": bad},
	}))
	require.Equal(t, []string{"endpont"}, UnknownKeys(&squashed{}, bad))
	require.Empty(t, UnknownKeys(&all{}, object{"one": "no section", "list": 5, "map": nil}))
}
