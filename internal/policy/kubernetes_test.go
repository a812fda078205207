package policy

import (
	"cmp"
	"errors"
	"io"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

// manifest is what the tests look at of an object of Kubernetes.
type manifest struct {
	Kind     string `yaml:"kind"`
	Metadata struct {
		Name      string `yaml:"name"`
		Namespace string `yaml:"namespace"`
	} `yaml:"metadata"`
	Spec struct {
		ClusterIP                string       `yaml:"clusterIP"`
		PublishNotReadyAddresses bool         `yaml:"publishNotReadyAddresses"`
		Selector                 yaml.Node    `yaml:"selector"`
		Ports                    []kubePort   `yaml:"ports"`
		Template                 podTemplate  `yaml:"template"`
		VolumeClaimTemplates     []claim      `yaml:"volumeClaimTemplates"`
		Ingress                  []kubeAccess `yaml:"ingress"`
	} `yaml:"spec"`
	Rules []struct {
		Resources []string `yaml:"resources"`
		Verbs     []string `yaml:"verbs"`
	} `yaml:"rules"`
}

type kubePort struct {
	Port          int `yaml:"port"`
	ContainerPort int `yaml:"containerPort"`
}

type kubeAccess struct {
	From []struct {
		PodSelector struct {
			MatchLabels map[string]string `yaml:"matchLabels"`
		} `yaml:"podSelector"`
	} `yaml:"from"`
	Ports []kubePort `yaml:"ports"`
}

type claim struct {
	Spec struct {
		Resources struct {
			Requests struct {
				Storage string `yaml:"storage"`
			} `yaml:"requests"`
		} `yaml:"resources"`
	} `yaml:"spec"`
}

type podTemplate struct {
	Metadata struct {
		Labels map[string]string `yaml:"labels"`
	} `yaml:"metadata"`
	Spec struct {
		TerminationGracePeriodSeconds int             `yaml:"terminationGracePeriodSeconds"`
		SecurityContext               securityContext `yaml:"securityContext"`
		Containers                    []container     `yaml:"containers"`
		InitContainers                []container     `yaml:"initContainers"`
	} `yaml:"spec"`
}

type securityContext struct {
	RunAsNonRoot             bool  `yaml:"runAsNonRoot"`
	RunAsUser                int   `yaml:"runAsUser"`
	AllowPrivilegeEscalation *bool `yaml:"allowPrivilegeEscalation"`
	ReadOnlyRootFilesystem   bool  `yaml:"readOnlyRootFilesystem"`
}

type probe struct {
	HTTPGet struct {
		Path string `yaml:"path"`
		Port int    `yaml:"port"`
	} `yaml:"httpGet"`
}

type container struct {
	Image           string          `yaml:"image"`
	Command         []string        `yaml:"command"`
	Args            []string        `yaml:"args"`
	Env             []envVariable   `yaml:"env"`
	Ports           []kubePort      `yaml:"ports"`
	StartupProbe    *probe          `yaml:"startupProbe"`
	LivenessProbe   *probe          `yaml:"livenessProbe"`
	ReadinessProbe  *probe          `yaml:"readinessProbe"`
	SecurityContext securityContext `yaml:"securityContext"`
	Resources       struct {
		Limits struct {
			Memory string `yaml:"memory"`
		} `yaml:"limits"`
	} `yaml:"resources"`
	VolumeMounts []volumeMount `yaml:"volumeMounts"`
}

type envVariable struct {
	Name  string `yaml:"name"`
	Value string `yaml:"value"`
}

type volumeMount struct {
	MountPath string `yaml:"mountPath"`
}

func (c *container) env(name string) string {
	for _, e := range c.Env {
		if e.Name == name {
			return e.Value
		}
	}
	return ""
}

// configs are the files in config/ that the container starts with, one behind the other.
func (c *container) configs(t *testing.T) string {
	t.Helper()
	var all strings.Builder
	for i, arg := range c.Args {
		if i%2 == 0 {
			require.Equal(t, "--config", arg)
			continue
		}
		require.Equal(t, imageConfig, path.Dir(arg))
		content, err := os.ReadFile(filepath.Join(root, "config", path.Base(arg)))
		require.NoError(t, err)
		all.Write(content)
	}
	require.NotZero(t, all.Len())
	return all.String()
}

const (
	manifests = "examples/kubernetes/manifests"
	// ourImage is that of the Dockerfile, imageConfig is where it has config/.
	ourImage    = "registry.example/tracewright:"
	imageConfig = "/etc/tracewright"
)

func readManifests(t *testing.T) (list []manifest) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(root, manifests, "*.yaml"))
	require.NoError(t, err)
	page, err := os.ReadFile(filepath.Join(root, "docs", "kubernetes.md"))
	require.NoError(t, err)
	for _, name := range files {
		require.Contains(t, string(page), "../"+manifests+"/"+filepath.Base(name)+")", "docs/kubernetes.md links it")
		file, err := os.Open(name)
		require.NoError(t, err)
		decoder := yaml.NewDecoder(file)
		for {
			var m manifest
			err := decoder.Decode(&m)
			if errors.Is(err, io.EOF) {
				break
			}
			require.NoError(t, err, name)
			list = append(list, m)
		}
		require.NoError(t, file.Close())
	}
	return list
}

// ofKind is the only one of the kind and name; an empty name is any.
func ofKind(t *testing.T, list []manifest, kind, name string) manifest {
	t.Helper()
	list = slices.DeleteFunc(slices.Clone(list), func(m manifest) bool { return m.Kind != kind || name != "" && m.Metadata.Name != name })
	require.Len(t, list, 1, "%s %s", kind, name)
	return list[0]
}

// ours are the containers of our image.
func (m *manifest) ours() (list []container) {
	for _, c := range slices.Concat(m.Spec.Template.Spec.InitContainers, m.Spec.Template.Spec.Containers) {
		if strings.HasPrefix(c.Image, ourImage) {
			list = append(list, c)
		}
	}
	return list
}

var (
	variable     = regexp.MustCompile(`\$\{env:(\w+)`)
	endpointOf   = regexp.MustCompile(`endpoint: (?:\$\{env:(\w+):-)?\$\{env:(\w+):-localhost\}+:\$\{env:\w+:-(\d+)\}`)
	metricsOf    = regexp.MustCompile(`host: (?:\$\{env:(\w+):-)?\$\{env:(\w+):-localhost\}+\n\s+port: \$\{env:\w+:-(\d+)\}`)
	dockerBinary = regexp.MustCompile(`/src/(bin/[\w-]+)`)
)

// listeners are the variables that say on which host the configuration listens, by port: the first that is set.
func listeners(config string) map[int][]string {
	hosts := map[int][]string{}
	for _, match := range slices.Concat(endpointOf.FindAllStringSubmatch(config, -1), metricsOf.FindAllStringSubmatch(config, -1)) {
		port, _ := strconv.Atoi(match[3])
		hosts[port] = match[1:3]
	}
	return hosts
}

// knownVariables are those that any file of config/ reads, or tells a component to read.
func knownVariables(t *testing.T) map[string]bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(root, "config", "*.yaml"))
	require.NoError(t, err)
	known := map[string]bool{}
	for _, file := range files {
		content, err := os.ReadFile(file)
		require.NoError(t, err)
		for _, match := range variable.FindAllStringSubmatch(string(content), -1) {
			known[match[1]] = true
		}
		for _, match := range regexp.MustCompile(`from_env_var: (\w+)`).FindAllStringSubmatch(string(content), -1) {
			known[match[1]] = true
		}
	}
	return known
}

// What the containers are told is what their configurations read: variables, ports, hosts, paths of probes.
func TestManifestsFitTheConfigurations(t *testing.T) {
	known := knownVariables(t)
	openapi, err := os.ReadFile(filepath.Join(root, "extension/tracequeryextension/internal/api/openapi/openapi.yaml"))
	require.NoError(t, err)
	containers := 0
	for _, m := range readManifests(t) {
		for _, c := range m.ours() {
			containers++
			name, config := m.Kind+" "+m.Metadata.Name, c.configs(t)
			for _, e := range c.Env {
				require.True(t, known[e.Name], "%s: no configuration reads %s", name, e.Name)
			}
			for _, required := range regexp.MustCompile(`from_env_var: (\w+)`).FindAllStringSubmatch(config, -1) {
				require.True(t, slices.ContainsFunc(c.Env, func(e envVariable) bool { return e.Name == required[1] }), "%s: %s is missing", name, required[1])
			}
			hosts := listeners(config)
			reached := func(port int) {
				require.Contains(t, hosts, port, "%s: nothing listens there", name)
				require.Equal(t, "0.0.0.0", cmp.Or(c.env(hosts[port][0]), c.env(hosts[port][1])), "%s: %q say who reaches port %d", name, hosts[port], port)
			}
			for _, port := range c.Ports {
				reached(port.ContainerPort)
			}
			for _, p := range []*probe{c.StartupProbe, c.LivenessProbe, c.ReadinessProbe} {
				if p == nil {
					continue
				}
				reached(p.HTTPGet.Port)
				if p.HTTPGet.Path != "/" { // of health_check
					require.Equal(t, 16686, p.HTTPGet.Port, name)
					require.Contains(t, string(openapi), "\n  "+p.HTTPGet.Path+":\n", name)
				}
			}
			require.Contains(t, c.VolumeMounts, volumeMount{c.env("TRACEWRIGHT_DATA")}, "%s: its data is on no volume", name)

			pod := m.Spec.Template.Spec.SecurityContext
			require.True(t, pod.RunAsNonRoot || c.SecurityContext.RunAsNonRoot, name)
			require.Equal(t, imageUser(t), max(pod.RunAsUser, c.SecurityContext.RunAsUser), name)
			require.True(t, c.SecurityContext.ReadOnlyRootFilesystem, name)
			require.False(t, *c.SecurityContext.AllowPrivilegeEscalation, name)
			limit, err := strconv.Atoi(strings.TrimSuffix(c.Resources.Limits.Memory, "Mi"))
			if gibibytes, inGi := strings.CutSuffix(c.Resources.Limits.Memory, "Gi"); inGi {
				limit, err = strconv.Atoi(gibibytes)
				limit *= 1024
			}
			require.NoError(t, err, name)
			if refusing := c.env("TRACEWRIGHT_MEMORY_MIB"); refusing != "" { // four fifths of it; the collector of garbage aims at 55 % of the container's
				mib, err := strconv.Atoi(refusing)
				require.NoError(t, err, name)
				require.Less(t, 55*limit, 80*mib, "%s: spans would be refused for garbage", name)
				require.Less(t, mib, limit, name)
			}
		}
	}
	require.Equal(t, 3, containers)
}

// The services lead to pods that listen there, agents to the service that names every gateway, and what guards the gateways lets agents in.
func TestManifestsFitOneAnother(t *testing.T) {
	list := readManifests(t)
	pods := []manifest{ofKind(t, list, "StatefulSet", ""), ofKind(t, list, "DaemonSet", "")}
	for _, m := range list {
		if m.Kind != "Service" {
			continue
		}
		var selector map[string]string
		require.NoError(t, m.Spec.Selector.Decode(&selector))
		found := slices.IndexFunc(pods, func(p manifest) bool { return p.Spec.Template.Metadata.Labels["app"] == selector["app"] })
		require.GreaterOrEqual(t, found, 0, m.Metadata.Name)
		for key, value := range selector {
			require.Equal(t, value, pods[found].Spec.Template.Metadata.Labels[key], m.Metadata.Name)
		}
		for _, port := range m.Spec.Ports {
			require.True(t, slices.ContainsFunc(pods[found].Spec.Template.Spec.Containers[0].Ports, func(p kubePort) bool { return p.ContainerPort == port.Port }),
				"%s, port %d", m.Metadata.Name, port.Port)
		}
	}

	gateways := ofKind(t, list, "Service", "tracewright-gateways")
	require.Equal(t, "None", gateways.Spec.ClusterIP)
	require.True(t, gateways.Spec.PublishNotReadyAddresses, "agents would send elsewhere in the middle of traces")
	for _, m := range list {
		for _, c := range m.ours() {
			if m.Kind != "StatefulSet" {
				require.True(t, strings.HasPrefix(c.env("TRACEWRIGHT_GATEWAY"), gateways.Metadata.Name+"."+gateways.Metadata.Namespace+"."), m.Metadata.Name)
				require.Equal(t, strconv.Itoa(gateways.Spec.Ports[0].Port), c.env("TRACEWRIGHT_GATEWAY_PORT"), m.Metadata.Name)
			}
		}
	}

	agents := ofKind(t, list, "NetworkPolicy", "").Spec.Ingress[0]
	require.Equal(t, gateways.Spec.Ports[0].Port, agents.Ports[0].Port)
	require.Equal(t, ofKind(t, list, "DaemonSet", "").Spec.Template.Metadata.Labels, agents.From[0].PodSelector.MatchLabels)

	var resources []string
	for _, rule := range ofKind(t, list, "ClusterRole", "").Rules {
		require.Equal(t, []string{"get", "list", "watch"}, rule.Verbs)
		resources = append(resources, rule.Resources...)
	}
	require.Equal(t, []string{"pods", "namespaces", "nodes", "replicasets"}, resources, "config/agent.kubernetes.yaml names them")
}

// shutdownTimes are the constants that bound the parts of a gateway's shutdown, which come one after the other.
var shutdownTimes = map[string]string{
	"receiver/tracesourcesreceiver/running.go":      "stopTimeout",
	"processor/traceassemblyprocessor/config.go":    "defaultShutdownTimeout",
	"processor/traceassemblyprocessor/keep.go":      "saveTimeout",
	"processor/traceassemblyprocessor/processor.go": "abandonTimeout",
	"exporter/traceclickhouseexporter/config.go":    "defaultTimeout",
	"exporter/servicemapexporter/config.go":         "defaultTimeout",
	"extension/tracequeryextension/extension.go":    "shutdownGrace",
}

// A gateway may end as slowly as its parts may, and its volume holds what they may keep.
func TestGatewayManifestHasTimeAndRoom(t *testing.T) {
	gateway := ofKind(t, readManifests(t), "StatefulSet", "")
	total := time.Duration(0)
	for file, name := range shutdownTimes {
		content, err := os.ReadFile(filepath.Join(root, file))
		require.NoError(t, err)
		match := regexp.MustCompile(`\b` + name + `\s+= (?:(\d+) \* )?time\.(Second|Minute)\b`).FindStringSubmatch(string(content))
		require.NotNil(t, match, "%s: %s", file, name)
		number := 1
		if match[1] != "" {
			number, err = strconv.Atoi(match[1])
			require.NoError(t, err)
		}
		total += time.Duration(number) * map[string]time.Duration{"Second": time.Second, "Minute": time.Minute}[match[2]]
	}
	given := time.Duration(gateway.Spec.Template.Spec.TerminationGracePeriodSeconds) * time.Second
	require.GreaterOrEqual(t, given, total)

	config, err := os.ReadFile(filepath.Join(root, "config", "gateway.yaml"))
	require.NoError(t, err)
	need := 8 << 30 // journal::max_bytes
	for _, match := range regexp.MustCompile(`queue_size: (\d+)`).FindAllStringSubmatch(string(config), -1) {
		size, err := strconv.Atoi(match[1])
		require.NoError(t, err)
		need += size
	}
	have, err := strconv.Atoi(strings.TrimSuffix(gateway.Spec.VolumeClaimTemplates[0].Spec.Resources.Requests.Storage, "Gi"))
	require.NoError(t, err)
	require.GreaterOrEqual(t, have<<30, need)
}

func imageUser(t *testing.T) int {
	t.Helper()
	match := regexp.MustCompile(`(?m)^USER (\d+):\d+$`).FindStringSubmatch(dockerfile(t))
	require.NotNil(t, match, "the image says by number who runs")
	user, err := strconv.Atoi(match[1])
	require.NoError(t, err)
	return user
}

func dockerfile(t *testing.T) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(root, "Dockerfile"))
	require.NoError(t, err)
	return string(content)
}

// What the image copies and starts is what make builds, and config/.
func TestImageHasWhatItStarts(t *testing.T) {
	text := dockerfile(t)
	makefile, err := os.ReadFile(filepath.Join(root, "Makefile"))
	require.NoError(t, err)
	binaries := dockerBinary.FindAllStringSubmatch(text, -1)
	require.Len(t, binaries, 3)
	var names []string
	for _, match := range binaries {
		require.Regexp(t, `-o (\.\./)?`+match[1]+` `, string(makefile))
		names = append(names, "/usr/local/"+match[1])
	}
	require.Contains(t, text, "COPY config/ "+imageConfig+"/\n")
	require.Contains(t, text, `ENTRYPOINT ["`+names[0]+`"]`)
	require.Contains(t, text, `CMD ["--config", "`+imageConfig+`/tracewright.yaml"]`)
	require.Positive(t, imageUser(t))
	for _, m := range readManifests(t) {
		for _, c := range m.ours() {
			require.Contains(t, names, c.Command[0])
		}
	}
}
