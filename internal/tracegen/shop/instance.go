package shop

import (
	"fmt"
	"math/rand/v2"
	"strconv"

	semconv "go.opentelemetry.io/otel/semconv/v1.40.0"

	"github.com/tracewright/tracewright/internal/tracegen/wire"
)

// SchemaURL is the version of the semantic conventions that the shop speaks.
const SchemaURL = semconv.SchemaURL

const namespace = "shop"

// instance is one running pod of a service.
type instance struct {
	resource *wire.Resource
	ip       string
}

// runtimes describes the languages: the versions of the runtime and of the SDK.
var runtimes = map[string]struct{ version, sdk string }{
	"go":     {"go1.26.0", "1.46.0"},
	"java":   {"21.0.8+9-LTS", "1.58.0"},
	"nodejs": {"22.20.0", "2.5.0"},
	"python": {"3.13.7", "1.40.0"},
	"dotnet": {"9.0.9", "1.15.0"},
}

var zones = []string{"eu-central-1a", "eu-central-1b", "eu-central-1c"}

func (s *Shop) makeInstances() {
	for service := range services {
		s.first = append(s.first, len(s.instances))
		replicaSets := map[string]string{}
		for number := range services[service].Instances {
			rng := rand.New(rand.NewPCG(s.options.Seed, uint64(service)<<16|uint64(number)|1<<40))
			s.instances = append(s.instances, newInstance(service, number, replicaSets, rng))
		}
	}
}

func newInstance(service, number int, replicaSets map[string]string, rng *rand.Rand) instance {
	def := &services[service]
	version := def.version(number)
	if replicaSets[version] == "" {
		replicaSets[version] = def.Name + "-" + letters(rng, 10)
	}
	pod := replicaSets[version] + "-" + letters(rng, 5)
	nodeNumber := rng.IntN(12)
	node := fmt.Sprintf("ip-10-0-%d-%d.eu-central-1.compute.internal", 16*(nodeNumber%3), 20+nodeNumber)
	language := runtimes[def.Language]
	r := new(wire.Resource)
	for _, a := range [][2]string{
		{"service.name", def.Name},
		{"service.version", version},
		{"service.namespace", namespace},
		{"service.instance.id", uuid(rng)},
		{"deployment.environment.name", "production"},
		{"k8s.cluster.name", "shop-eu-1"},
		{"k8s.namespace.name", namespace},
		{"k8s.deployment.name", def.Name},
		{"k8s.replicaset.name", replicaSets[version]},
		{"k8s.pod.name", pod},
		{"k8s.pod.uid", uuid(rng)},
		{"k8s.node.name", node},
		{"k8s.container.name", def.Name},
		{"os.type", "linux"},
		{"cloud.region", "eu-central-1"},
		{"cloud.availability_zone", zones[nodeNumber%3]},
		{"process.runtime.version", language.version},
		{"telemetry.sdk.name", "opentelemetry"},
		{"telemetry.sdk.language", def.Language},
		{"telemetry.sdk.version", language.sdk},
	} {
		r.Text(a[0], a[1])
	}
	r.Int("process.pid", int64(1+rng.IntN(40)))
	return instance{
		resource: r,
		ip:       "10." + strconv.Itoa(64+nodeNumber) + "." + strconv.Itoa(rng.IntN(256)) + "." + strconv.Itoa(2+rng.IntN(250)),
	}
}

// InstanceCount is the number of instances of all services.
func (s *Shop) InstanceCount() int { return len(s.instances) }

// Instance is the number of the instance that a span comes from, below InstanceCount.
func (s *Shop) Instance(span *Span) int { return s.first[span.Service] + span.Instance }

// Resource is the resource of an instance.
func (s *Shop) Resource(instance int) *wire.Resource { return s.instances[instance].resource }

const podAlphabet = "bcdfghjklmnpqrstvwxz2456789" // that Kubernetes uses for names

func letters(rng *rand.Rand, n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = podAlphabet[rng.IntN(len(podAlphabet))]
	}
	return string(b)
}

const hexDigits = "0123456789abcdef"

func hexText(rng *rand.Rand, n int) string {
	b := make([]byte, n)
	var word uint64
	for i := range b {
		if i%16 == 0 {
			word = rng.Uint64()
		}
		b[i] = hexDigits[word&15]
		word >>= 4
	}
	return string(b)
}

func uuid(rng *rand.Rand) string {
	h := []byte(hexText(rng, 36))
	h[8], h[13], h[18], h[23] = '-', '-', '-', '-'
	h[14] = '4'
	h[19] = "89ab"[rng.IntN(4)]
	return string(h)
}
