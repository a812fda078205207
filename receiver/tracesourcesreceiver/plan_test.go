package tracesourcesreceiver

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/config/configopaque"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/receiver"
	"go.opentelemetry.io/collector/receiver/otlpreceiver"
	"go.opentelemetry.io/collector/receiver/receivertest"

	"github.com/tracewright/tracewright/internal/tracesources"
)

// brokerConfig is like that of a receiver with sections of its own, such as kafka's.
type brokerConfig struct {
	Brokers []string `mapstructure:"brokers"`
	Auth    struct {
		User     string              `mapstructure:"user"`
		Password string              `mapstructure:"password"`
		Header   configopaque.String `mapstructure:"header"`
		KeyTab   string              `mapstructure:"keytab_file"`
	} `mapstructure:"auth"`
	Proxy  string         `mapstructure:"proxy_url"`
	Topics []string       `mapstructure:"topics"`
	More   map[string]any `mapstructure:"more"`
}

// brokerFactory makes a receiver that keeps its configuration.
func brokerFactory(built *[]*brokerConfig) receiver.Factory {
	fake := &reporting{}
	return receiver.NewFactory(component.MustNewType("broker"), func() component.Config { return &brokerConfig{Brokers: []string{"localhost:9092"}} },
		receiver.WithTraces(func(_ context.Context, _ receiver.Settings, cfg component.Config, _ consumer.Traces) (receiver.Traces, error) {
			*built = append(*built, cfg.(*brokerConfig))
			return fake, nil
		}, component.StabilityLevelAlpha))
}

func TestPolicy(t *testing.T) {
	secrets := t.TempDir()
	outside := t.TempDir()
	write := func(path, content string) {
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
		require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
	}
	write(filepath.Join(secrets, "password"), "hunter2\n")
	write(filepath.Join(secrets, "parts"), "hunter2 and/hunter2")
	write(filepath.Join(secrets, "tls", "ca.pem"), "not looked at")
	write(filepath.Join(secrets, "empty"), "\n")
	write(filepath.Join(outside, "shadow"), "root")
	require.NoError(t, os.Symlink(filepath.Join(outside, "shadow"), filepath.Join(secrets, "link")))
	require.NoError(t, os.Symlink("password", filepath.Join(secrets, "inside")))

	type object = map[string]any
	grpc := func(settings object) object { return object{"protocols": object{"grpc": settings}} }
	server := func(key string, value any) object { return grpc(object{"endpoint": "localhost:0", key: value}) }
	var built []*brokerConfig
	host := newTestHost(newStore(), brokerFactory(&built), receivertest.NewNopFactory(),
		receiver.NewFactory(component.MustNewType("metricsonly"), func() component.Config { return &struct{}{} }))
	r := start(t, host, new(consumertest.TracesSink), func(c *Config) {
		c.AllowedTypes = []string{"otlp", "zipkin", "jaeger", "broker", "metricsonly", "absent"}
		c.AllowedListen = []string{"localhost", "10.1.2.3:4000-5000"}
		c.AllowedHosts = []string{"kafka.internal:9092", "*.cluster.local"}
		c.SecretsDir = secrets
	})
	const invalid, forbidden = tracesources.Invalid, tracesources.Forbidden
	for name, test := range map[string]struct {
		typ           string
		configuration object
		kind          tracesources.Kind
		field, detail string
	}{
		"unknown type":        {"nobody", object{}, invalid, "type", `no receiver "nobody" here; allowed are otlp, zipkin, jaeger, broker, metricsonly`},
		"type that is absent": {"absent", object{}, invalid, "type", "no receiver"},
		"type not allowed":    {"nop", object{}, forbidden, "type", "allowed_types"},
		"no traces":           {"metricsonly", object{}, invalid, "type", "takes no traces"},
		"itself":              {"trace_sources", object{"storage": "main"}, invalid, "type", "no receiver"},
		"unknown key":         {"otlp", grpc(object{"endpiont": "localhost:0"}), invalid, "configuration", "endpiont"},
		"unknown HTTP key":    {"otlp", object{"protocols": object{"http": object{"endpont": "localhost:0"}}}, invalid, "configuration.protocols.http.endpont", "no such key"},
		"unknown flat key":    {"otlp", object{"protocols::http": object{"endpont": "localhost:0"}}, invalid, "configuration.protocols.http.endpont", "no such key"},
		"unknown key, Zipkin": {"zipkin", object{"endpont": "localhost:0"}, invalid, "configuration.endpont", "no such key"},
		"wrong type":          {"otlp", grpc(object{"endpoint": []any{1}}), invalid, "configuration", "endpoint"},
		"not a section":       {"otlp", object{"protocols": "grpc"}, invalid, "configuration", "protocols"},
		"not valid":           {"otlp", object{"protocols": object{}}, invalid, "configuration", "at least one protocol"},
		"environment":         {"otlp", server("endpoint", "${env:HOME}:1"), invalid, "configuration.protocols.grpc.endpoint", "not replaced"},
		"environment in keys": {"otlp", object{"${env:HOME}": 1}, invalid, "configuration.${env:HOME}", "not replaced"},
		"file provider":       {"broker", object{"brokers": []any{"${file:/etc/passwd}"}}, invalid, "configuration.brokers[0]", "not replaced"},
		"listens elsewhere":   {"otlp", server("endpoint", "0.0.0.0:4317"), forbidden, "configuration.protocols.grpc.endpoint", "allowed_listen"},
		"listens everywhere":  {"otlp", server("endpoint", ":4317"), forbidden, "configuration.protocols.grpc.endpoint", "allowed_listen"},
		"port not allowed":    {"zipkin", object{"endpoint": "10.1.2.3:5001"}, forbidden, "configuration.endpoint", "10.1.2.3:4000-5000"},
		"udp listens":         {"jaeger", object{"protocols": object{"thrift_compact": object{"endpoint": "0.0.0.0:6831"}}}, forbidden, "configuration.protocols.thrift_compact.endpoint", "allowed_listen"},
		"no address":          {"zipkin", object{"endpoint": "localhost"}, invalid, "configuration.endpoint", "host:port"},
		"empty address":       {"otlp", server("endpoint", ""), invalid, "configuration.protocols.grpc.endpoint", "host:port"},
		"null address":        {"zipkin", object{"endpoint": nil}, invalid, "configuration.endpoint", "host:port"},
		"empty UDP address":   {"jaeger", object{"protocols": object{"thrift_binary": object{"endpoint": ""}}}, invalid, "configuration.protocols.thrift_binary.endpoint", "host:port"},
		"unix socket":         {"otlp", server("transport", "unix"), forbidden, "configuration.protocols.grpc.transport", "tcp or udp"},
		"middleware":          {"otlp", server("middlewares", []any{object{"id": "raw_spans"}}), invalid, "configuration.protocols.grpc.middlewares[0]", "middlewares"},
		"host not allowed":    {"broker", object{"brokers": []any{"kafka.internal:9092", "169.254.169.254:80"}}, forbidden, "configuration.brokers[1]", "allowed_hosts"},
		"default not allowed": {"broker", object{}, forbidden, "configuration.brokers[0]", "localhost:9092"},
		"url not allowed":     {"broker", object{"brokers": []any{"a.cluster.local:1"}, "proxy_url": "http://evil.example/x"}, forbidden, "configuration.proxy_url", "allowed_hosts"},
		"file outside":        {"otlp", server("tls", object{"cert_file": filepath.Join(outside, "shadow"), "key_file": "tls/ca.pem"}), invalid, "configuration.protocols.grpc.tls.cert_file", "below secrets_dir"},
		"file above":          {"otlp", server("tls", object{"cert_file": "../shadow", "key_file": "tls/ca.pem"}), invalid, "configuration.protocols.grpc.tls.cert_file", "below secrets_dir"},
		"link to outside":     {"otlp", server("tls", object{"ca_file": "link"}), invalid, "configuration.protocols.grpc.tls.ca_file", "no such file"},
		"folder":              {"otlp", server("tls", object{"ca_file": "tls"}), invalid, "configuration.protocols.grpc.tls.ca_file", "no such file"},
		"file by its own key": {"broker", object{"brokers": []any{"kafka.internal:9092"}, "auth": object{"keytab_file": "/etc/passwd"}}, invalid, "configuration.auth.keytab_file", "below secrets_dir"},
		"free section":        {"broker", object{"brokers": []any{"kafka.internal:9092"}, "more": object{"deep": object{"ca_file": "/etc/passwd"}}}, invalid, "configuration.more.deep.ca_file", "below secrets_dir"},
		"plain password":      {"broker", object{"brokers": []any{"kafka.internal:9092"}, "auth": object{"password": "hunter2"}}, invalid, "configuration.auth.password", "not written here"},
		"plain opaque":        {"broker", object{"brokers": []any{"kafka.internal:9092"}, "auth": object{"header": "hunter2"}}, invalid, "configuration.auth.header", "not written here"},
		"no such secret":      {"broker", object{"auth": object{"password": object{"secret": "nothing"}}}, invalid, "configuration.auth.password.secret", "no such file"},
		"secret outside":      {"broker", object{"auth": object{"password": object{"secret": "../x"}}}, invalid, "configuration.auth.password.secret", "below secrets_dir"},
		"secret by link":      {"broker", object{"auth": object{"password": object{"secret": "link"}}}, invalid, "configuration.auth.password.secret", "no such file"},
		"empty secret":        {"broker", object{"auth": object{"password": object{"secret": "empty"}}}, invalid, "configuration.auth.password.secret", "must hold"},
		"secret to a host":    {"broker", object{"brokers": []any{object{"secret": "password"}}}, invalid, "configuration.brokers[0]", ""},
		"secret in a topic":   {"broker", object{"brokers": []any{"kafka.internal:9092"}, "topics": []any{object{"secret": "password"}}}, invalid, "configuration.topics[0]", "no place for a secret"},
		"secret told to all":  {"otlp", object{"protocols": object{"http": object{"endpoint": "localhost:0", "response_headers": object{"token": object{"secret": "password"}}}}}, invalid, "configuration.protocols.http.response_headers[0].value", "no place for a secret"},
		"secret told in list": {"zipkin", object{"endpoint": "localhost:0", "response_headers": []any{object{"name": "x", "value": object{"secret": "password"}}}}, invalid, "configuration.response_headers[0].value", "no place for a secret"},
		"secret for a list":   {"broker", object{"brokers": object{"secret": "password"}}, invalid, "configuration.brokers[0]", "no place for a secret"},
		"secret by flat keys": {"otlp", object{"protocols::grpc::endpoint": object{"secret": "password"}}, invalid, "configuration.protocols.grpc.endpoint", "no place for a secret"},
		"secret for an id":    {"otlp", server("auth", object{"authenticator": object{"secret": "password"}}), invalid, "configuration", "[secret of protocols.grpc.auth.authenticator]"},
		"secret in parts":     {"otlp", server("auth", object{"authenticator": object{"secret": "parts"}}), invalid, "configuration", "[secret of protocols.grpc.auth.authenticator]"},
		"secret for a number": {"otlp", server("max_recv_msg_size_mib", object{"secret": "password"}), invalid, "configuration", "max_recv_msg_size_mib"},
	} {
		t.Run(name, func(t *testing.T) {
			refusal := refused(t, r, tracesources.Source{Name: "s", Type: test.typ, Configuration: test.configuration, Enabled: true}, 0)
			require.Equal(t, test.kind, refusal.Kind, refusal.Detail)
			require.Equal(t, test.field, refusal.Field, refusal.Detail)
			require.Contains(t, refusal.Detail, test.detail)
			require.NotContains(t, refusal.Detail, "hunter2")
			require.NotContains(t, refusal.Detail, "root")
		})
	}
	list, err := r.Sources(t.Context())
	require.NoError(t, err)
	require.Empty(t, list)
	require.Empty(t, built)

	// What is allowed reaches the receiver, and what is answered and stored has the secret's name alone.
	stored := put(t, r, tracesources.Source{Name: "s", Type: "broker", Enabled: true, Configuration: object{
		"brokers": []any{"kafka.internal:9092", "b.cluster.local:1"},
		"auth":    object{"user": "me", "password": object{"secret": "password"}, "header": object{"secret": "inside"}, "keytab_file": "tls/ca.pem"},
		"more":    object{"list": []any{object{"token": object{"secret": "parts"}, "ca_file": "tls/ca.pem"}}},
	}}, 0)
	require.Len(t, built, 1)
	require.Equal(t, "hunter2", built[0].Auth.Password)
	require.Equal(t, "hunter2", string(built[0].Auth.Header))
	require.Equal(t, filepath.Join(secrets, "tls", "ca.pem"), built[0].Auth.KeyTab)
	require.Equal(t, object{"list": []any{object{"token": "hunter2 and/hunter2", "ca_file": filepath.Join(secrets, "tls", "ca.pem")}}}, built[0].More)
	require.Equal(t, object{"secret": "password"}, stored.Configuration["auth"].(object)["password"])
	records, err := r.keeper.Sources(t.Context())
	require.NoError(t, err)
	require.NotContains(t, string(records[0].Value), "hunter2")
}

func TestNoSecretsDir(t *testing.T) {
	var built []*brokerConfig
	r := start(t, newTestHost(newStore(), brokerFactory(&built)), new(consumertest.TracesSink), func(c *Config) { c.AllowedTypes = []string{"broker"} })
	refusal := refused(t, r, tracesources.Source{Name: "s", Type: "broker", Configuration: map[string]any{
		"auth": map[string]any{"password": map[string]any{"secret": "password"}},
	}}, 0)
	require.Contains(t, refusal.Detail, "secrets_dir")
}

// Without somebody who may manage, a source listens for this host alone, whatever the operator allows.
func TestOnLoopback(t *testing.T) {
	r := start(t, newTestHost(newStore()), new(consumertest.TracesSink), func(c *Config) { c.AllowedListen = []string{"0.0.0.0"} })
	_, port, _ := strings.Cut(freePort(t), ":")
	for _, at := range []string{"0.0.0.0:", ":", "[::]:", "10.1.2.3:", "example.com:"} {
		_, err := r.Put(t.Context(), otlp("s", at+port), 0, true)
		var refusal *tracesources.Refusal
		require.ErrorAs(t, err, &refusal, at)
		require.Equal(t, tracesources.Forbidden, refusal.Kind, at)
		require.Contains(t, refusal.Detail, "manage_auth")
	}
	_, err := r.Put(t.Context(), otlp("s", "127.0.0.1:"+port), 0, true)
	require.NoError(t, err)
	put(t, r, otlp("s", "0.0.0.0:"+port), 1)
}

func TestTooMany(t *testing.T) {
	r := start(t, newTestHost(newStore()), new(consumertest.TracesSink), func(c *Config) { c.MaxSources = 2 })
	put(t, r, otlp("a", "localhost:0"), 0)
	put(t, r, otlp("b", "localhost:0"), 0)
	require.Contains(t, refused(t, r, otlp("c", "localhost:0"), 0).Detail, "max_sources")
	put(t, r, otlp("b", "localhost:0"), 1)
}

// A request that is larger than receivers decode safely is refused unless a source asks for it, and one that is packed in a way that a few bytes
// can make large.
func TestBodiesAreBounded(t *testing.T) {
	p, err := newPolicy(createDefaultConfig().(*Config), newTestHost(newStore()))
	require.NoError(t, err)
	for given, want := range map[int]int64{0: maxRequestBody, 100: 100} {
		source := tracesources.Source{Name: "s", Type: "otlp", Configuration: map[string]any{
			"protocols": map[string]any{"http": map[string]any{"endpoint": "localhost:0", "max_request_body_size": given}},
		}}
		made, err := p.plan(&source)
		require.NoError(t, err)
		server := made.config.(*otlpreceiver.Config).Protocols.HTTP.Get().ServerConfig
		require.Equal(t, want, server.MaxRequestBodySize)
		require.Contains(t, server.CompressionAlgorithms, "gzip")
		require.NotContains(t, server.CompressionAlgorithms, "zstd")
	}
}

// What a receiver says of a secret is not told, in whatever form it says it.
func TestErrorsWithoutSecrets(t *testing.T) {
	dir := t.TempDir()
	configuration := make(map[string]any)
	for name, content := range map[string]string{"short": "hunter", "long": "hunter2", "key": "BEGIN\nPRIVATE \"KEY\""} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600))
		configuration[name] = map[string]any{"secret": name}
	}
	secrets, refusal := secretsDir(dir).resolve(configuration)
	require.Nil(t, refusal)
	s := &running{secrets: secrets}
	for _, said := range []string{"hunter2", "hunter", "BEGIN\nPRIVATE \"KEY\"", `BEGIN\nPRIVATE \"KEY\"`} {
		require.EqualError(t, s.said(errors.New("it is not "+said+"\n* at all")), "it is not [REDACTED]; at all")
	}
}
