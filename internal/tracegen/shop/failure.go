package shop

import (
	"fmt"
	"strconv"
	"strings"
)

// failure is how a failed span tells of it.
type failure struct {
	kind      string // error.type
	status    string // the status's message
	exception string // exception.type; empty for no exception event
	message   string // exception.message
}

// failure decides what a failed span says. Origins record an exception; on the way up half of the serving spans record
// one of their own, and clients give the code that they were answered.
func (d *dresser) failure(s *Span) failure {
	language := services[s.Service].Language
	names := exceptions[language]
	switch {
	case s.overloaded && s.origin:
		return failure{d.code(s), "overloaded", names.overloaded, "too many requests in flight: " + strconv.Itoa(200+d.rng.IntN(800))}
	case s.origin && s.Kind == Client && s.done.query != nil:
		message := fmt.Sprintf(databaseFailures[d.rng.IntN(len(databaseFailures))], d.rng.IntN(90000)+1000, s.done.query.store.host)
		return failure{names.database, message, names.database, message}
	case s.origin && s.Kind == Client:
		message := fmt.Sprintf("no answer from %s within %d ms", s.done.external.host, 500*(1+d.rng.IntN(20)))
		return failure{d.code(s), message, names.timeout, message}
	case s.origin:
		message := fmt.Sprintf(applicationFailures[d.rng.IntN(len(applicationFailures))], d.product, d.rng.IntN(100000))
		return failure{names.application, message, names.application, message}
	case s.Kind == Client:
		return failure{kind: d.code(s), status: ""}
	case d.rng.IntN(2) == 0:
		message := "request failed: downstream answered " + d.code(s)
		return failure{names.upstream, message, names.upstream, message}
	}
	return failure{kind: d.code(s), status: "downstream failed"}
}

// code is error.type as HTTP and RPC instrumentations set it.
func (d *dresser) code(s *Span) string {
	switch s.Protocol {
	case protocolHTTP:
		return strconv.FormatInt(d.httpStatus(s), 10)
	case protocolGRPC:
		return d.rpcStatus(s)
	}
	return "_OTHER"
}

var databaseFailures = []string{
	"deadlock detected: process %d waits for a lock on %s",
	"canceling statement due to statement timeout (pid %d, %s)",
	"connection reset by peer after %d bytes from %s",
	"too many connections: %d open to %s",
}

var applicationFailures = []string{
	"invalid state for %s: version %d is stale",
	"no price list for %s in region %d",
	"unexpected null in field quantity of %s (row %d)",
	"checksum of %s does not match: expected %d",
}

// exceptions names the exception types of each language.
var exceptions = map[string]struct{ application, database, timeout, upstream, overloaded string }{
	"go":     {"*errors.errorString", "*pgconn.PgError", "context.deadlineExceededError", "*fmt.wrapError", "*status.Error"},
	"java":   {"java.lang.IllegalStateException", "org.postgresql.util.PSQLException", "java.net.http.HttpTimeoutException", "com.shop.DownstreamException", "java.util.concurrent.RejectedExecutionException"},
	"nodejs": {"TypeError", "MongoServerError", "TimeoutError", "DownstreamError", "OverloadError"},
	"python": {"ValueError", "redis.exceptions.ConnectionError", "httpx.ReadTimeout", "shop.errors.DownstreamError", "shop.errors.Overloaded"},
	"dotnet": {"System.InvalidOperationException", "Npgsql.NpgsqlException", "System.TimeoutException", "Shop.DownstreamException", "System.Threading.RateLimiting.RateLimitException"},
}

var frames = []string{"handle", "execute", "validate", "load", "apply", "resolve", "commit", "dispatch", "invoke", "process"}

// stacktrace makes a stack trace of the language's form.
func (d *dresser) stacktrace(language string, f failure) string {
	var b strings.Builder
	if language != "go" {
		b.WriteString(f.exception + ": " + f.message + "\n")
	}
	for range 6 + d.rng.IntN(8) {
		function, line := frames[d.rng.IntN(len(frames))], 10+d.rng.IntN(900)
		switch language {
		case "go":
			fmt.Fprintf(&b, "shop.internal/%s.(*Service).%s(0x%s)\n\t/app/%s.go:%d +0x%x\n", function, function, hexText(d.rng, 10), function, line, d.rng.IntN(4096))
		case "java":
			fmt.Fprintf(&b, "\tat com.shop.core.%s.%s(%s.java:%d)\n", title(function), function, title(function), line)
		case "python":
			fmt.Fprintf(&b, "  File \"/app/shop/%s.py\", line %d, in %s\n", function, line, function)
		case "dotnet":
			fmt.Fprintf(&b, "   at Shop.Core.%s.%sAsync() in /src/%s.cs:line %d\n", function, function, function, line)
		default:
			fmt.Fprintf(&b, "    at %s (/app/dist/%s.js:%d:%d)\n", function, function, line, 1+d.rng.IntN(80))
		}
	}
	return b.String()
}

func title(word string) string { return strings.ToUpper(word[:1]) + word[1:] }
