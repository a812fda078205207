// Package tenant is the one rule by which a request, whether it brings spans or asks for them, belongs to a tenant: an
// authenticator's claim decides, else a header, else it is the default tenant, which has no name.
package tenant

import (
	"errors"
	"fmt"
	"unicode/utf8"

	"go.opentelemetry.io/collector/client"
)

const (
	// Claim is the attribute of an authenticator's data that binds a client to one tenant. The oidc extension names the claims of a token
	// with claimPrefix before them.
	Claim       = "tenant"
	claimPrefix = "claims."
	// DefaultHeader is the header that names a request's tenant unless another one is configured.
	DefaultHeader = "x-tracewright-tenant"
	// maxBytes bounds a name that stands in every key of every store.
	maxBytes = 256
)

var (
	// ErrClaim says that the authenticator's claim names no single tenant. The header does not decide then: a client must
	// not be able to choose.
	ErrClaim = errors.New("the authenticator's claim " + Claim + " does not name exactly one tenant")
	// ErrHeader says that the header names no tenant.
	ErrHeader = errors.New("the header names no tenant")
	// ErrName says that no tenant can have the name.
	ErrName = errors.New("not a tenant's name")
)

// Bound is the tenant to which an authenticator's data (nil where there is none) binds a client, if it does. Its errors wrap ErrClaim.
func Bound(auth client.AuthData) (name string, bound bool, err error) {
	if auth == nil {
		return "", false, nil
	}
	claim := auth.GetAttribute(Claim)
	if claim == nil {
		claim = auth.GetAttribute(claimPrefix + Claim)
	}
	if claim == nil {
		return "", false, nil
	}
	name, ok := single(claim)
	if !ok {
		return "", true, ErrClaim
	}
	return name, true, check(name, ErrClaim)
}

// Of is the tenant of a request with this data of its authenticator (nil where there is none) and these values of the header.
// Its errors wrap ErrClaim or ErrHeader; the same request will never do.
func Of(auth client.AuthData, header string, values []string) (string, error) {
	if name, bound, err := Bound(auth); bound {
		return name, err
	}
	switch len(values) {
	case 0:
		return "", nil
	case 1:
		if err := check(values[0], ErrHeader); err != nil {
			return "", fmt.Errorf("header %s: %w", header, err)
		}
		return values[0], nil
	default:
		return "", fmt.Errorf("header %s: %w: it stands more than once", header, ErrHeader)
	}
}

// single is the one text in a claim: a text, or a list of one; a list is []any where it comes from a token in JSON.
func single(claim any) (name string, ok bool) {
	switch claim := claim.(type) {
	case string:
		return claim, true
	case []string:
		if len(claim) == 1 {
			return claim[0], true
		}
	case []any:
		if len(claim) == 1 {
			name, ok = claim[0].(string)
			return name, ok
		}
	}
	return "", false
}

// Check says whether a tenant can have the name, wherever it comes from. Its error wraps ErrName.
func Check(name string) error { return check(name, ErrName) }

func check(name string, kind error) error {
	if len(name) > maxBytes || !utf8.ValidString(name) {
		return fmt.Errorf("%w: it must be UTF-8 of at most %d bytes", kind, maxBytes)
	}
	return nil
}
