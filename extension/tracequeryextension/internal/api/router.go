package api

import (
	"maps"
	"net/http"
	"path"
	"slices"
	"strings"

	"github.com/tracewright/tracewright/extension/tracequeryextension/internal/api/openapi"
)

// reservedSegments are first segments below /traces/ that belong to endpoints to come and are never ids.
var reservedSegments = []string{"sources"}

// router finds the handler of a request. It keeps the methods of a path apart by itself, because http.ServeMux answers a wrong
// one in plain text.
type router struct {
	mux      *http.ServeMux
	routes   map[string]route // by path, as patterns of the mux
	notFound http.Handler
	// guard stands before every operation, and before what is none.
	guard func(route openapi.Route, serve http.Handler) http.Handler
}

// route is the handlers of one path by method.
type route map[string]http.Handler

// nowhere is what is asked for that is no operation.
var nowhere = openapi.Route{ID: "none", Access: openapi.AccessRead}

// newRouter makes a router that knows no operation yet. Every request has to satisfy the authenticator, where there is one,
// before it is told anything.
func (h *handler) newRouter() *router {
	t := &router{mux: http.NewServeMux(), routes: make(map[string]route), guard: h.guard}
	t.notFound = t.guard(nowhere, http.HandlerFunc(notFound))
	for _, segment := range reservedSegments {
		t.mux.Handle("/traces/"+segment, t.notFound)
	}
	t.mux.Handle("/", t.notFound)
	return t
}

// Handle implements openapi.Router. HEAD comes with GET.
func (t *router) Handle(operation openapi.Route, serve http.HandlerFunc) {
	handlers, known := t.routes[operation.Path]
	if !known {
		handlers = make(route)
		t.routes[operation.Path] = handlers
		t.mux.Handle(operation.Path, t.dispatch(handlers, operation.Access))
	}
	handlers[operation.Method] = t.guard(operation, serve)
	if operation.Method == http.MethodGet {
		handlers[http.MethodHead] = handlers[http.MethodGet]
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

// dispatch finds the handler of a path by the request's method. Others are told which there are, with the access that the first needs, but
// change nothing.
func (t *router) dispatch(handlers route, first openapi.Access) http.Handler {
	wrong := nowhere
	wrong.Access = min(first, openapi.AccessRead)
	other := t.guard(wrong, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
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
