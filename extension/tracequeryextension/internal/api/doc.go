// Package api is the REST API: it parses requests, asks the query service, and encodes answers. What a client sees (paths,
// member names, errors) is decided here and nowhere else, first in openapi/openapi.yaml; what it means is decided in package
// query.
//
// A request passes compression, headers and the recovery from panics, then the route's authenticator and method, then
// parse → service → encode. Every error is an RFC 9457 problem.
package api
