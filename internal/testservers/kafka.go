package testservers

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"

	"github.com/tracewright/tracewright/internal/freeport"
)

// kafkaCluster names the cluster of one that every folder is formatted for; it is an encoded UUID.
const kafkaCluster = "dHJhY2V3cmlnaHQtMTIzNA"

// Kafka is a broker of Kafka 3.9, alone, in KRaft mode.
type Kafka struct {
	Process
	// Broker is where it listens, as host:port.
	Broker string
}

// NewKafka installs Kafka and makes a broker with its data in folder, which is not started yet.
func NewKafka(ctx context.Context, folder string) (*Kafka, error) {
	library, err := jars(ctx, "kafka", "")
	if err != nil {
		return nil, err
	}
	ports, err := freeport.Take(ctx, 2)
	if err != nil {
		return nil, err
	}
	s := &Kafka{Broker: net.JoinHostPort("127.0.0.1", strconv.Itoa(ports[0]))}
	controller := net.JoinHostPort("127.0.0.1", strconv.Itoa(ports[1]))
	properties := filepath.Join(folder, "server.properties")
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return nil, err
	}
	if err := os.WriteFile(properties, fmt.Appendf(nil, `process.roles=broker,controller
node.id=1
controller.quorum.voters=1@%[2]s
controller.listener.names=CONTROLLER
listeners=PLAINTEXT://%[1]s,CONTROLLER://%[2]s
advertised.listeners=PLAINTEXT://%[1]s
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs=%[3]s
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
group.initial.rebalance.delay.ms=0
num.partitions=4
`, s.Broker, controller, filepath.Join(folder, "data")), 0o600); err != nil {
		return nil, err
	}
	classes := filepath.Join(library, "lib") + "/*"
	if err := run(ctx, folder, "java", "-cp", classes, "kafka.tools.StorageTool", "format", "--ignore-formatted",
		"-t", kafkaCluster, "-c", properties); err != nil {
		return nil, err
	}
	s.Process = Process{
		name: "Kafka",
		command: func(ctx context.Context) *exec.Cmd {
			return exec.CommandContext(ctx, "java", "-Xms128m", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", classes, "kafka.Kafka", properties)
		},
		ready: func(ctx context.Context) error { return s.printed(ctx, s.Broker, "Kafka Server started") },
	}
	return s, nil
}
