//go:generate go tool -modfile=../../../../../internal/tools/go.mod oapi-codegen -config codegen.yaml openapi.yaml

// Package openapi is the description of the API and what is generated from it: the types of requests and answers, and the
// routes.
package openapi

import _ "embed"

// Document is openapi.yaml.
//
//go:embed openapi.yaml
var Document []byte

// Ignored is a member that may have any value and is not looked at.
type Ignored struct{}
