package tracesources

import (
	"regexp"
	"strings"
)

// secretKey finds the keys of a configuration whose values are secrets, by how they end.
var secretKey = regexp.MustCompile(`(?i)(^|_)(password|passphrase|passwd|secret|token|api_?key|secret_?key|access_?key|private_?key|credentials|key_pem|authorization)$`)

// IsSecret says whether a key of a configuration names a secret, where its type does not tell.
func IsSecret(key string) bool { return secretKey.MatchString(key) }

// Redacted is written in the place of secrets.
const Redacted = "[REDACTED]"

// Redact writes it in the place of secrets in a configuration, of which it makes a copy. Names of environment variables and files, which
// stand in for secrets, are left.
func Redact(configuration any) any { return redact("", configuration) }

func redact(key string, value any) any {
	switch v := value.(type) {
	case map[string]any:
		c := make(map[string]any, len(v))
		for name, inner := range v {
			c[name] = redact(name, inner)
		}
		return c
	case []any:
		c := make([]any, len(v))
		for i, inner := range v {
			c[i] = redact(key, inner)
		}
		return c
	case string:
		if IsSecret(key) && v != "" && !(strings.HasPrefix(v, "${") && strings.HasSuffix(v, "}")) {
			return Redacted
		}
	}
	return value
}
