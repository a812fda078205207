package tracesourcesreceiver

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"unicode/utf8"

	"github.com/tracewright/tracewright/internal/tracesources"
)

// secretMember is the only member of what stands in a configuration in the place of a secret.
const secretMember = "secret"

// maxSecretBytes bounds a file that holds a secret.
const maxSecretBytes = 64 << 10

// secretsDir is the folder that holds the files which sources may use; empty where there is none. What lies outside is not reached, by
// symbolic links neither.
type secretsDir string

// Errors of files. They say nothing of what lies elsewhere.
var (
	errNoSecretsDir = errors.New("files and secrets need secrets_dir of trace_sources, which names the folder for them")
	errOutside      = errors.New("must be a file below secrets_dir, by its name in it")
	errUnreadable   = errors.New("no such file below secrets_dir, or it cannot be read")
)

// open opens a file in the folder, which a configuration names relative to it or absolutely. The absolute name is returned too.
func (d secretsDir) open(name string) (*os.File, string, error) {
	if d == "" {
		return nil, "", errNoSecretsDir
	}
	dir, err := filepath.Abs(string(d))
	if err != nil {
		return nil, "", errUnreadable
	}
	if filepath.IsAbs(name) {
		if name, err = filepath.Rel(dir, name); err != nil {
			return nil, "", errOutside
		}
	}
	if !filepath.IsLocal(name) {
		return nil, "", errOutside
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, "", errUnreadable
	}
	defer root.Close()
	if info, err := root.Stat(name); err != nil || !info.Mode().IsRegular() { // others may block when they are opened
		return nil, "", errUnreadable
	}
	f, err := root.Open(name)
	if err != nil {
		return nil, "", errUnreadable
	}
	return f, filepath.Join(dir, name), nil
}

// file is the absolute name of a file in the folder.
func (d secretsDir) file(name string) (string, error) {
	f, absolute, err := d.open(name)
	if err != nil {
		return "", err
	}
	return absolute, f.Close()
}

// secret reads one, without the line's end behind it.
func (d secretsDir) secret(name string) (string, error) {
	f, _, err := d.open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	content, err := io.ReadAll(io.LimitReader(f, maxSecretBytes+1))
	content = bytes.TrimSuffix(bytes.TrimSuffix(content, []byte("\n")), []byte("\r"))
	switch {
	case err != nil:
		return "", errUnreadable
	case len(content) == 0 || len(content) > maxSecretBytes || !utf8.Valid(content):
		return "", fmt.Errorf("the file must hold UTF-8, of at most %d bytes", maxSecretBytes)
	}
	return string(content), nil
}

// resolved is a configuration with secrets in the place of their names.
type resolved struct {
	configuration map[string]any
	// at are the secrets by where they stand, as inspect writes it.
	at map[string]string
}

// resolve reads the secrets that a configuration names.
func (d secretsDir) resolve(configuration map[string]any) (*resolved, *tracesources.Refusal) {
	r := &resolved{at: make(map[string]string)}
	replaced, refusal := r.replace(d, "", configuration)
	if refusal != nil {
		return nil, refusal
	}
	r.configuration, _ = replaced.(map[string]any)
	return r, nil
}

func (r *resolved) replace(d secretsDir, path string, value any) (any, *tracesources.Refusal) {
	switch v := value.(type) {
	case map[string]any:
		if name, ok := v[secretMember].(string); ok && len(v) == 1 && path != "" {
			secret, err := d.secret(name)
			if err != nil {
				return nil, &tracesources.Refusal{Field: "configuration." + path + "." + secretMember, Detail: err.Error()}
			}
			r.at[path] = secret
			return secret, nil
		}
		c := make(map[string]any, len(v))
		for key, inner := range v {
			at := key
			if path != "" {
				at = path + "." + key
			}
			replaced, refusal := r.replace(d, at, inner)
			if refusal != nil {
				return nil, refusal
			}
			c[key] = replaced
		}
		return c, nil
	case []any:
		c := make([]any, len(v))
		for i, inner := range v {
			replaced, refusal := r.replace(d, fmt.Sprintf("%s[%d]", path, i), inner)
			if refusal != nil {
				return nil, refusal
			}
			c[i] = replaced
		}
		return c, nil
	}
	return value, nil
}

// redact takes the secrets out of a text that somebody else wrote.
func (r *resolved) redact(text string) string {
	for _, secret := range r.at {
		text = strings.ReplaceAll(text, secret, tracesources.Redacted)
	}
	return text
}
