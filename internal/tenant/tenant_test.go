package tenant

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/client"
)

type claim struct{ value any }

// oidcClaims are as the oidc extension has them.
type oidcClaims map[string]any

func (c oidcClaims) GetAttribute(name string) any {
	key, ok := strings.CutPrefix(name, "claims.")
	if !ok {
		return nil
	}
	return c[key]
}

func (oidcClaims) GetAttributeNames() []string { return nil }

func (c claim) GetAttribute(name string) any {
	if name == Claim {
		return c.value
	}
	return nil
}

func (claim) GetAttributeNames() []string { return []string{Claim} }

func TestOf(t *testing.T) {
	for name, test := range map[string]struct {
		auth   client.AuthData
		values []string
		want   string
		err    error
	}{
		"default":                    {},
		"header":                     {values: []string{"blue"}, want: "blue"},
		"empty header":               {values: []string{""}},
		"header twice":               {values: []string{"blue", "red"}, err: ErrHeader},
		"header too long":            {values: []string{strings.Repeat("x", 257)}, err: ErrHeader},
		"header not UTF-8":           {values: []string{"\xff"}, err: ErrHeader},
		"claim overrules the header": {auth: claim{"red"}, values: []string{"blue"}, want: "red"},
		"empty claim is the default": {auth: claim{""}, values: []string{"blue"}},
		"claim of one":               {auth: claim{[]string{"red"}}, want: "red"},
		"claim of several":           {auth: claim{[]string{"red", "blue"}}, values: []string{"blue"}, err: ErrClaim},
		"claim of none":              {auth: claim{[]string{}}, values: []string{"blue"}, err: ErrClaim},
		"claim of another type":      {auth: claim{7}, values: []string{"blue"}, err: ErrClaim},
		"claim too long":             {auth: claim{strings.Repeat("x", 257)}, err: ErrClaim},
		"claim of a token":           {auth: oidcClaims{"tenant": "red"}, values: []string{"blue"}, want: "red"},
		"one claim of a token":       {auth: oidcClaims{"tenant": []any{"red"}}, values: []string{"blue"}, want: "red"},
		"two claims of a token":      {auth: oidcClaims{"tenant": []any{"red", "blue"}}, err: ErrClaim},
		"a number in a token":        {auth: oidcClaims{"tenant": []any{7}}, err: ErrClaim},
		"a token without the claim":  {auth: oidcClaims{"sub": "ann"}, values: []string{"blue"}, want: "blue"},
		"authenticator says nothing": {auth: claim{}, values: []string{"blue"}, want: "blue"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := Of(test.auth, "x", test.values)
			require.ErrorIs(t, err, test.err)
			if test.err == nil {
				require.Equal(t, test.want, got)
			}
		})
	}
}
