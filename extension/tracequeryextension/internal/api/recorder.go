package api

import "net/http"

// recorder remembers with which status an answer began.
type recorder struct {
	http.ResponseWriter
	status int // 0 until the answer begins
}

func (r *recorder) WriteHeader(status int) {
	if r.status == 0 && status >= http.StatusOK {
		r.status = status
	}
	r.ResponseWriter.WriteHeader(status)
}

func (r *recorder) Write(p []byte) (int, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	return r.ResponseWriter.Write(p)
}

// Unwrap is how http.ResponseController flushes and sets deadlines.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

// outcome is the status of a request that has been served; of one that panicked before its answer began, 500.
func (r *recorder) outcome(returned bool) int {
	switch {
	case r.status != 0:
		return r.status
	case returned:
		return http.StatusOK
	default:
		return http.StatusInternalServerError
	}
}
