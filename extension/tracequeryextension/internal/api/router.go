package api

import (
	"maps"
	"net/http"
	"path"
	"slices"
	"strings"

	"go.opentelemetry.io/collector/extension/extensionauth"
)

// reservedSegments are first segments below /traces/ that belong to endpoints to come and are never ids.
var reservedSegments = []string{"sources", "errors", "insights"}

// router finds the handler of a request. It keeps the methods of a path apart by itself, because http.ServeMux answers a wrong
// one in plain text.
type router struct {
	mux      *http.ServeMux
	routes   map[string]route // by path, as patterns of the mux
	notFound http.Handler
	guard    func(next http.Handler) http.Handler
}

// route is the handlers of one path by method.
type route map[string]http.HandlerFunc

// newRouter makes a router that knows no operation yet. Every request has to satisfy the authenticator, where there is one,
// before it is told anything.
func (h *handler) newRouter(authenticator extensionauth.Server) *router {
	t := &router{mux: http.NewServeMux(), routes: make(map[string]route)}
	t.guard = func(next http.Handler) http.Handler { return h.authenticated(authenticator, next) }
	t.notFound = t.guard(http.HandlerFunc(notFound))
	for _, segment := range reservedSegments {
		t.mux.Handle("/traces/"+segment, t.notFound)
	}
	t.mux.Handle("/", t.notFound)
	return t
}

// HandleFunc implements openapi.Router for patterns of a method and a path. HEAD comes with GET.
func (t *router) HandleFunc(pattern string, serve func(http.ResponseWriter, *http.Request)) {
	method, target, _ := strings.Cut(pattern, " ")
	handlers, known := t.routes[target]
	if !known {
		handlers = make(route)
		t.routes[target] = handlers
		t.mux.Handle(target, t.guard(handlers))
	}
	handlers[method] = serve
	if method == http.MethodGet {
		handlers[http.MethodHead] = serve
	}
}

// ServeHTTP keeps the mux from redirecting paths such as //traces to what they may have meant.
func (t *router) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	asked := r.URL.EscapedPath() // which is what the mux looks at
	if clean := path.Clean(asked); asked != clean && asked != clean+"/" {
		t.notFound.ServeHTTP(w, r)
		return
	}
	t.mux.ServeHTTP(w, r)
}

func (handlers route) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	serve, ok := handlers[r.Method]
	if !ok {
		allow := strings.Join(slices.Sorted(maps.Keys(handlers)), ", ")
		w.Header().Set("Allow", allow)
		newProblem(http.StatusMethodNotAllowed, fault{Detail: "allowed here: " + allow}).write(w)
		return
	}
	serve(w, r)
}

func notFound(w http.ResponseWriter, r *http.Request) {
	newProblem(http.StatusNotFound, fault{Detail: "nothing is served at " + r.URL.Path}).write(w)
}
