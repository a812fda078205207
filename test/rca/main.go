// RCA holds the ranking of suspects (internal/analysis/rootcause) to its target: 20 windows with a fault that is known, and some without one.
//
//	go run ./test/rca [--seed HEX] [--runs N]
//
// The traffic is tracegen's shop, analysed in process. Which services fail, how, and how badly is decided by the seed, by default the commit's hash, so
// that nobody can tune to it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, os.Args[1:])
	stop()
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "rca:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("rca", flag.ContinueOnError)
	text := flags.String("seed", "", "hex digits that decide all scenarios, the first 16 of which count; the hash of the commit if empty")
	runs := flags.Int("runs", 1, "how many times, each with another seed made of the first")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *text == "" {
		out, err := exec.CommandContext(ctx, "git", "rev-parse", "HEAD").Output()
		if err != nil {
			return fmt.Errorf("read the commit's hash: %w; give --seed", err)
		}
		*text = strings.TrimSpace(string(out))
	}
	seed, err := strconv.ParseUint((*text)[:min(len(*text), 16)], 16, 64)
	if err != nil {
		return fmt.Errorf("--seed %q: %w", *text, err)
	}
	if *runs < 1 {
		return errors.New("--runs must be at least 1")
	}
	missed := 0
	for i := range *runs {
		began := time.Now()
		fmt.Printf("seed %016x\n", seed)
		faulty, healthy := scenarios(seed)
		outcomes, err := evaluate(ctx, append(faulty, healthy...))
		if err != nil {
			return err
		}
		report := newReport(outcomes)
		report.print(os.Stdout)
		fmt.Printf("%.0f s\n\n", time.Since(began).Seconds())
		if !report.passed() {
			missed++
		}
		seed = seed*0x9e3779b97f4a7c15 + uint64(i) + 1
	}
	if missed > 0 {
		return fmt.Errorf("a target is missed in %d of %d runs", missed, *runs)
	}
	return nil
}
