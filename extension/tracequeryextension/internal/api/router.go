package api

import (
	"maps"
	"net/http"
	"path"
	"slices"
	"strings"
)

// reservedSegments are first segments below /traces/ that belong to endpoints to come and are never ids.
var reservedSegments = []string{"errors", "insights"}

// router finds the handler of a request. It keeps the methods of a path apart by itself, because http.ServeMux answers a wrong
// one in plain text.
type router struct {
	mux      *http.ServeMux
	routes   map[string]route // by path, as patterns of the mux
	notFound http.Handler
	// reading and changing stand before the operations that read and those that change something.
	reading, changing func(next http.Handler) http.Handler
}

// route is the handlers of one path by method.
type route map[string]http.Handler

// readingPosts read although they are sent by POST. Whatever else is not GET changes something.
var readingPosts = []string{"/traces/search"}

// newRouter makes a router that knows no operation yet. Every request has to satisfy the authenticator, where there is one,
// before it is told anything.
func (h *handler) newRouter() *router {
	t := &router{mux: http.NewServeMux(), routes: make(map[string]route), reading: h.reading, changing: h.changing}
	t.notFound = t.reading(http.HandlerFunc(notFound))
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
		t.mux.Handle(target, t.dispatch(handlers))
	}
	if method != http.MethodGet && !slices.Contains(readingPosts, target) {
		handlers[method] = t.changing(http.HandlerFunc(serve))
		return
	}
	handlers[method] = t.reading(http.HandlerFunc(serve))
	if method == http.MethodGet {
		handlers[http.MethodHead] = handlers[method]
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

// dispatch finds the handler of a path by the request's method.
func (t *router) dispatch(handlers route) http.Handler {
	other := t.reading(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		allow := strings.Join(slices.Sorted(maps.Keys(handlers)), ", ")
		w.Header().Set("Allow", allow)
		newProblem(http.StatusMethodNotAllowed, fault{Detail: "allowed here: " + allow}).write(w)
	}))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if serve, ok := handlers[r.Method]; ok {
			serve.ServeHTTP(w, r)
			return
		}
		other.ServeHTTP(w, r)
	})
}

func notFound(w http.ResponseWriter, r *http.Request) {
	newProblem(http.StatusNotFound, fault{Detail: "nothing is served at " + r.URL.Path}).write(w)
}
