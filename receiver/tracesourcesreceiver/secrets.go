package tracesourcesreceiver

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.opentelemetry.io/collector/component"

	"github.com/tracewright/tracewright/internal/tracesources"
	"github.com/tracewright/tracewright/receiver/tracesourcesreceiver/internal/inspect"
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

// resolved is a configuration whose secrets were read.
type resolved struct {
	// configuration has stand-ins in the place of secrets. What decodes and checks it can change a text, and tell of it, as it likes.
	configuration map[string]any
	// secrets are by their stand-ins.
	secrets map[string]secret
}

type secret struct {
	path  string // where the configuration names it
	value string
}

// resolve reads the secrets that a configuration names.
func (d secretsDir) resolve(configuration map[string]any) (*resolved, *tracesources.Refusal) {
	r := &resolved{secrets: make(map[string]secret)}
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
			value, err := d.secret(name)
			if err != nil {
				return nil, &tracesources.Refusal{Field: "configuration." + path + "." + secretMember, Detail: err.Error()}
			}
			standIn := "[secret of " + path + "]"
			r.secrets[standIn] = secret{path, value}
			return standIn, nil
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

// put puts the secrets in the place of their stand-ins.
func (r *resolved) put(config component.Config) {
	inspect.Walk(config, func(place *inspect.Place) {
		if secret, ok := r.secrets[place.Value]; ok {
			place.Set(secret.value)
		}
	})
}

// redact takes the secrets out of a text that somebody else wrote, quoted ones too.
func (r *resolved) redact(text string) string {
	// Longer ones go first: what is left of one that another is a part of would tell of it.
	secrets := slices.SortedFunc(maps.Values(r.secrets), func(a, b secret) int { return len(b.value) - len(a.value) })
	var replaced []string
	for _, secret := range secrets {
		quoted := strconv.Quote(secret.value)
		replaced = append(replaced, secret.value, tracesources.Redacted, quoted[1:len(quoted)-1], tracesources.Redacted)
	}
	return strings.NewReplacer(replaced...).Replace(text)
}
