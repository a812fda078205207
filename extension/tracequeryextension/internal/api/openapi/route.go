package openapi

// Access is what a request needs, by the security of its operation in the document.
type Access int

const (
	// AccessOpen needs nothing.
	AccessOpen Access = iota
	// AccessRead needs the right to read.
	AccessRead
	// AccessManage needs the right to change something.
	AccessManage
)

// Route is how an operation is reached.
type Route struct {
	// ID is the operationId.
	ID     string
	Method string
	// Path is a pattern of http.ServeMux.
	Path   string
	Access Access
}
