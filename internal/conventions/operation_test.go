package conventions_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/tracewright/tracewright/internal/conventions"
)

func named(name string, kind ptrace.SpanKind, attributes ...string) ptrace.Span {
	span := ptrace.NewSpan()
	span.SetName(name)
	span.SetKind(kind)
	for i := 0; i < len(attributes); i += 2 {
		span.Attributes().PutStr(attributes[i], attributes[i+1])
	}
	return span
}

func TestOperation(t *testing.T) {
	const uuid = "8f14e45f-ceea-467f-a0e6-4b2f7a1c9d3e"
	for name, want := range map[string]string{
		// Paths.
		"GET /users/123":                        "GET /users/{id}",
		"/users/123/orders/7":                   "/users/{id}/orders/{id}",
		"GET /users/" + uuid:                    "GET /users/{id}",
		"GET /users/" + strings.ToUpper(uuid):   "GET /users/{id}",
		"GET /orders/order-" + uuid + "/lines":  "GET /orders/order-{id}/lines",
		"GET /commits/0123456789abcdef01234567": "GET /commits/{id}",
		"GET /blobs/01ARZ3NDEKTSV4RRFFQ69G5FAV": "GET /blobs/{id}",
		"GET /search?q=blue&page=2":             "GET /search",
		"GET /docs#17 HTTP/1.1":                 "GET /docs HTTP/{id}",
		"GET /files/my%20report.pdf":            "GET /files/{id}",
		"GET /people/ann@example.com/orders":    "GET /people/{id}/orders",
		"GET /days/2024-01-05":                  "GET /days/{id}",
		"GET /hosts/10.1.2.3":                   "GET /hosts/{id}",
		"GET https://api.example:8443/users/1":  "GET https://api.example:8443/users/{id}",
		"HTTP GET http://minio:9000/photos/17":  "HTTP GET http://minio:9000/photos/{id}",
		"GET http://ann:secret@api.example/x":   "GET http://{id}/x",
		"GET /pods/orders-6d4b75cb6d-x2x7z/log": "GET /pods/orders-{id}/log",
		"GET /pods/orders-6d4b75cb6d-bcdfg/log": "GET /pods/orders-{id}/log",
		"GET /pods/fluentd-x2c7z":               "GET /pods/fluentd-{id}",
		// Names.
		"process order 4711":                     "process order {id}",
		"order:4711":                             "order:{id}",
		"order4711":                              "order4711",
		"order47110":                             "order{id}",
		"job-7f9c4d":                             "job-{id}",
		"consumer-12":                            "consumer-{id}",
		"shard_3_of_16":                          "shard_{id}_of_{id}",
		"orders-3 receive":                       "orders-{id} receive",
		"cart:" + uuid + ":lines":                "cart:{id}:lines",
		`load "blue shoes" for 'ann'`:            "load {id} for {id}",
		"mail to ann@example.com":                "mail to {id}",
		"reticulate 0x7f3a":                      "reticulate {id}",
		"com.shop.Cart$$Lambda$117/0x00007f3a0c": "com.shop.Cart$$Lambda${id}/{id}",
		"connect 10.1.2.3:5432":                  "connect {id}",
		"tick 2024-01-05T10:00:00Z":              "tick {id}",
		"app-KSTREAM-AGGREGATE-STATE-STORE-0000000003-changelog": "app-KSTREAM-AGGREGATE-STATE-STORE-{id}-changelog",
		"it's done by 5 o'clock":                                 "it's done by {id} o'clock",
		"an 'open quote":                                         "an 'open quote",
		// Statements.
		"SELECT * FROM users WHERE id = 42 AND name = 'O''Brien'":  "SELECT * FROM users WHERE id = ? AND name = ?",
		"select a from b where c in (1, 2,3) limit 10":             "select a from b where c in (?) limit ?",
		"INSERT INTO t (a, b) VALUES (1, 'x'), (-2, 'y'),(3, 'z')": "INSERT INTO t (a, b) VALUES (?)",
		`UPDATE "orders" SET price = 4.20 WHERE id = $1`:           `UPDATE "orders" SET price = ? WHERE id = $1`,
		"SELECT * FROM orders_2024_01 WHERE id = ?":                "SELECT * FROM orders_{id} WHERE id = ?",
		"DELETE /users/7": "DELETE /users/{id}",
		// Left alone.
		"GET": "", "GET /": "", "GET /orders/{id}": "", "GET /api/v1/orders/{order_id}": "", "/apis/apps/v1beta2/deployments": "",
		"GET /orders/<int:id2>": "", "GET /orders/:id2": "", "GET /users/*": "", "POST /oauth2/token": "",
		"SELECT orders": "", "redis.get": "", "S3.PutObject": "", "etcdserverpb.KV/Range": "", "/pkg.v1.Cart/Add": "",
		"orders publish": "", "Sent.shop.Cart.Add": "", "OrdersController#show": "", "utf8mb4 to ipv4": "", "spring-log4j2": "",
		"x509-base64-sha256": "", "sha256": "", "e2e": "", "python3.11 run": "", "v1.2.3": "", "localhost:8080 dial": "",
		"reviews.default.svc.cluster.local:9080/*":                         "",
		"router outbound|9080|v1|reviews.default.svc.cluster.local egress": "",
		"egress api.example": "",
		"GET /api/v1/namespaces/{:namespace}/pods/{:name}/status": "",
		"käse 買う": "", "": "", "what?": "", "@scheduled": "", "user@host": "",
		// Temporary queues are those of producers and consumers.
		"amq.gen-JzTYxBRgKO-HjmUJjowLg receive": "",
	} {
		if want == "" {
			want = name
		}
		t.Run(name, func(t *testing.T) {
			var operations conventions.Operations
			require.Equal(t, want, operations.Of(named(name, server)))
		})
	}
}

func TestOperationFromAttributes(t *testing.T) {
	for _, tt := range []struct {
		name  string
		kind  ptrace.SpanKind
		attrs []string
		want  string
	}{
		{"GET /users/ann", server, []string{"http.route", "/users/{name}"}, "GET /users/{name}"},
		{"GET /users/123", server, []string{"http.route", "/users/{id}"}, "GET /users/{id}"},
		{"/users/ann", server, []string{"http.route", "users/{name}"}, "/users/{name}"},
		{"GET /users/ann", client, []string{"url.template", "/users/{name}"}, "GET /users/{name}"},
		{"GET /users/ann", server, []string{"url.template", "/x", "http.route", "/users/{name}"}, "GET /users/{name}"},
		{"GET /login", server, []string{"http.route", "/login"}, "GET /login"},
		{"GET /users/7", server, []string{"http.route", "/users/7"}, "GET /users/{id}"},
		{"GET /users/7", server, []string{"http.route", ""}, "GET /users/{id}"},
		{"GET /users/{id}", server, []string{"http.route", "/**"}, "GET /users/{id}"},
		{"GET /users/:id", server, []string{"http.route", "/**"}, "GET /users/:id"},
		{"GET", server, []string{"http.route", "/users/{id}"}, "GET"},
		{"find user", server, []string{"http.route", "/users/{id}"}, "find user"},
		{"amq.gen-JzTYxBRgKO-HjmUJjowLg receive", consumer, nil, "amq.gen-{id} receive"},
		{"publish amq.rabbitmq.reply-to.gAbcDef", producer, nil, "publish amq.rabbitmq.reply-to.{id}"},
		{"_INBOX.abc.def publish", producer, nil, "_INBOX.{id} publish"},
		{"orders publish", producer, nil, "orders publish"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var operations conventions.Operations
			require.Equal(t, tt.want, operations.Of(named(tt.name, tt.kind, tt.attrs...)))
		})
	}
}

func TestLongOperation(t *testing.T) {
	var operations conventions.Operations
	long := operations.Of(named("SELECT * FROM t WHERE id IN ("+strings.Repeat("1, ", 1_000_000)+"1)", client))
	require.Equal(t, "SELECT * FROM t WHERE id IN (?,", long, "of what is looked at")
	require.Equal(t, strings.Repeat("n", 256), operations.Of(named(strings.Repeat("n", 1<<20), server)))
	require.Len(t, operations.Of(named(strings.Repeat("n/1/", 1<<20), server)), 256)
}

// Spans of one operation share its name, and what is remembered is bounded.
func TestOperationsAreShared(t *testing.T) {
	var operations conventions.Operations
	for _, span := range []ptrace.Span{
		named("GET /users/{id}/orders", server), named("GET /api/v1/users", server), named("GET /users/17", server),
		named("GET /users/ann", server, "http.route", "/users/{id}"), named("SELECT a FROM b WHERE c = 'd'", client),
	} {
		operations.Of(span)
		require.Zero(t, testing.AllocsPerRun(100, func() { operations.Of(span) }), span.Name())
	}
	for i := range 10_000 {
		require.Equal(t, fmt.Sprintf("name%c%c%c {id}", 'a'+i%26, 'a'+i/26%26, 'a'+i/676%26),
			operations.Of(named(fmt.Sprintf("name%c%c%c %d", 'a'+i%26, 'a'+i/26%26, 'a'+i/676%26, i), server)))
	}
}

func FuzzOperation(f *testing.F) {
	for _, seed := range []string{
		"GET /users/123?x=1", "job-7f9c4d", "SELECT 'a', 1 FROM b", "a@b.c", "x:1", "|9|", "$1", "{", "<1", "'", "\xff1", "_INBOX.1",
		"GET http://a:1/", strings.Repeat("1-", 300), "?", "(?),(?)", "v1.2.3",
		"step1" + strings.Repeat("x", 300),
	} {
		f.Add(seed, seed)
	}
	f.Fuzz(func(t *testing.T, name, route string) {
		var operations conventions.Operations
		for _, kind := range []ptrace.SpanKind{server, consumer} {
			got := operations.Of(named(name, kind))
			require.LessOrEqual(t, len(got), conventions.MaxNameBytes)
			require.Equal(t, got, operations.Of(named(name, kind)), "it depends on the span alone")
			require.LessOrEqual(t, len(operations.Of(named(name, kind, "http.route", route))), conventions.MaxNameBytes)
		}
		require.Equal(t, operations.Of(named("GET /a/17/"+name, server)), operations.Of(named("GET /a/4711/"+name, server)))
	})
}

func BenchmarkOperation(b *testing.B) {
	for name, span := range map[string]ptrace.Span{
		"clean":     named("GET /orders/{id}", server),
		"static":    named("POST /checkout", server, "http.request.method", "POST", "url.path", "/checkout", "http.route", "/checkout"),
		"version":   named("GET /api/v1/orders/{id}", server),
		"number":    named("GET /users/123/orders/7", server),
		"statement": named("SELECT * FROM users WHERE id = 42 AND name = 'ann'", client),
	} {
		b.Run(name, func(b *testing.B) {
			var operations conventions.Operations
			b.ReportAllocs()
			for b.Loop() {
				operations.Of(span)
			}
		})
	}
}
