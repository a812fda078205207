package e2e

import (
	"context"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tracewright/tracewright/internal/testservers"
)

// TestKill kills the process at random moments under load, some of them in the middle of a start, and starts it again at once. What
// was acknowledged is there, and every sum is the truth. TRACEWRIGHT_KILL_ROUNDS says how often, TRACEWRIGHT_KILL_SEED where to begin.
func TestKill(t *testing.T) {
	rounds, first := number(t, "TRACEWRIGHT_KILL_ROUNDS", 2), number(t, "TRACEWRIGHT_KILL_SEED", 1)
	tracegen := buildTracegen(t)
	for seed := first; seed < first+rounds; seed++ {
		t.Run(strconv.Itoa(seed), func(t *testing.T) { killRound(t, tracegen, seed) })
	}
}

func number(t *testing.T, name string, otherwise int) int {
	t.Helper()
	value, ok := os.LookupEnv(name)
	if !ok {
		return otherwise
	}
	n, err := strconv.Atoi(value)
	require.NoError(t, err, name)
	return n
}

// Shares of the rounds, and the moments of a round.
const (
	sending     = 3 * time.Second // of the rounds with a rate
	afterwards  = 3 * time.Second // in which a kill may still come
	duringStart = 1200 * time.Millisecond
)

// load is what one round sends.
func load(rng *rand.Rand) []string {
	var flags []string
	if rng.IntN(3) == 0 {
		flags = append(flags, "--total", "5000") // as fast as it goes
	} else {
		flags = append(flags, "--rate", strconv.Itoa(100+rng.IntN(500)), "--duration", sending.String(), "--batch-delay", "500ms")
	}
	if rng.IntN(3) > 0 {
		flags = append(flags, "--late", "1%:2s-4s", "--dup", "1%")
	}
	if rng.IntN(3) == 0 {
		flags = append(flags, "--shuffle", "1s")
	}
	if rng.IntN(3) == 0 {
		flags = append(flags, "--protocol", "http")
	}
	return flags
}

func killRound(t *testing.T, tracegen string, seed int) {
	rng := rand.New(rand.NewPCG(uint64(seed), 1))
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	i := newInstance(t)
	i.start()

	truth := filepath.Join(t.TempDir(), "truth.jsonl")
	flags := load(rng)
	port := "OTLP_GRPC"
	if strings.Contains(strings.Join(flags, " "), "http") {
		port = "OTLP_HTTP"
	}
	var sent testservers.Output
	send := exec.CommandContext(ctx, tracegen, append(flags, "--seed", strconv.Itoa(seed), "--endpoint", i.endpoint(port), "--expect", truth)...)
	send.Stdout, send.Stderr = &sent, &sent
	require.NoError(t, send.Start())

	var ends []string
	for at := time.Duration(0); len(ends) < 3; {
		pause := time.Duration(rng.Int64N(int64(sending + afterwards - at)))
		if len(ends) > 0 && rng.IntN(2) == 0 {
			pause = time.Duration(rng.Int64N(int64(duringStart)))
		}
		at += pause
		time.Sleep(pause)
		signal := syscall.SIGKILL
		if rng.IntN(5) == 0 {
			signal = syscall.SIGTERM // a stop in good order, in the middle of it
		}
		i.stop(signal)
		i.launch()
		ends = append(ends, fmt.Sprintf("%s at %s", signal, at.Round(time.Millisecond)))
		if at >= sending+afterwards || rng.IntN(3) == 0 {
			break
		}
	}
	i.awaitHealth()
	require.NoError(t, send.Wait(), sent.String())

	t.Logf("%s\n%s\n%s", strings.Join(flags, " "), strings.Join(ends, ", "), sent.String())
	report := verify(t, tracegen, truth, i.url("QUERY", ""))
	t.Logf("%sjournal: %d bytes", report, i.journalBytes())
	require.Contains(t, report, " 0 missing, 0 partial, 0 surplus, 0 differing;")
	require.Equal(t, 2, strings.Count(report, " sent: 0 differ in calls or errors"), "edges and operations")
}

// TestSmallJournal sends more than twice what the journal holds, compressed: senders are asked to come again, and everything goes on by itself.
func TestSmallJournal(t *testing.T) {
	t.Parallel()
	tracegen := buildTracegen(t)
	i := startInstance(t, "--set=processors.trace_assembly.journal.max_bytes=1500000")
	truth := filepath.Join(t.TempDir(), "truth.jsonl")
	sent := generate(t, tracegen, i.endpoint("OTLP_GRPC"), truth, "--total", "2000", "--seed", "1")
	require.NotContains(t, sent, " 0 retries", "the journal was never full")
	report := verify(t, tracegen, truth, i.url("QUERY", ""))
	t.Logf("%s%sjournal: %d bytes", sent, report, i.journalBytes())
}

// journalBytes is what the journal's files hold.
func (i *instance) journalBytes() (total int64) {
	err := filepath.WalkDir(filepath.Join(i.data, "journal"), func(_ string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		info, err := entry.Info()
		if err == nil {
			total += info.Size()
		}
		return err
	})
	require.NoError(i.t, err)
	return total
}
