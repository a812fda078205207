package policy

import (
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

type manifestModule struct {
	GoMod  string `yaml:"gomod"`
	Import string `yaml:"import"`
	Path   string `yaml:"path"`
}

const (
	productManifest = "builder-config.yaml"
	agentManifest   = "builder-config.agent.yaml"
	benchManifest   = "test/bench/builder-config.yaml"
)

func readManifest(t *testing.T, file string) map[string][]manifestModule {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(root, file))
	require.NoError(t, err)
	var sections map[string]yaml.Node
	require.NoError(t, yaml.Unmarshal(content, &sections))
	manifest := map[string][]manifestModule{}
	for section, node := range sections {
		if node.Kind != yaml.SequenceNode || section == "replaces" {
			continue
		}
		var modules []manifestModule
		require.NoError(t, node.Decode(&modules))
		manifest[section] = modules
	}
	return manifest
}

// Every folder of ours with a factory.go is in the manifest under its kind, and the reverse.
func TestManifestNamesEveryComponent(t *testing.T) {
	manifest := readManifest(t, productManifest)
	for kind, folder := range map[string]string{
		"receivers": "receiver", "processors": "processor", "exporters": "exporter", "connectors": "connector", "extensions": "extension",
	} {
		factories, err := filepath.Glob(filepath.Join(root, folder, "*", "factory.go"))
		require.NoError(t, err)
		var have, want []string
		for _, factory := range factories {
			want = append(want, modulePath+"/"+folder+"/"+filepath.Base(filepath.Dir(factory)))
		}
		for _, m := range manifest[kind] {
			if strings.HasPrefix(m.GoMod, modulePath+" ") {
				have = append(have, m.Import)
				require.Equal(t, ".", m.Path, "path of %s", m.Import)
			}
		}
		slices.Sort(have)
		slices.Sort(want)
		require.Equal(t, want, have, "builder-config.yaml, %s", kind)
	}
}

// otherVersions are those of modules that count otherwise, or whose newer versions the registries do not serve with all that they need.
var otherVersions = map[string]string{
	"k8sattributesprocessor": "v1.0.0", // of the same release
	"datadogreceiver":        "v0.145.0",
	"otlpjsonfilereceiver":   "v0.158.0",
}

// The collector releases its parts together; a mixture may build and still not fit.
func TestManifestPinsOneRelease(t *testing.T) {
	for _, file := range []string{productManifest, agentManifest, benchManifest} {
		for section, modules := range readManifest(t, file) {
			for _, m := range modules {
				name, version, ok := strings.Cut(m.GoMod, " ")
				require.True(t, ok, "%s, %s: %s has no version", file, section, m.GoMod)
				exception := otherVersions[path.Base(name)]
				switch {
				case name == modulePath:
				case exception != "":
					require.Equal(t, exception, version, "%s, %s", file, name)
				default:
					require.Contains(t, []string{"v0.161.0", "v1.67.0"}, version, "%s, %s", file, name)
				}
			}
		}
	}
}
