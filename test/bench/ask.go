package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net/http"
	"slices"
	"time"
)

// ask sends the product a request, a GET where there is no body, wants a status, and reads the answer into to, if that is not nil.
func (c *collector) ask(ctx context.Context, path string, body any, status int, to any) error {
	method, content := http.MethodGet, []byte(nil)
	if body != nil {
		var err error
		method = http.MethodPost
		if content, err = json.Marshal(body); err != nil {
			return err
		}
	}
	request, err := http.NewRequestWithContext(ctx, method, fmt.Sprintf("http://127.0.0.1:%d%s", c.at.query, path), bytes.NewReader(content))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	if response.StatusCode != status {
		return fmt.Errorf("%s: %s instead of %d: %s", path, response.Status, status, answer[:min(len(answer), 300)])
	}
	if to == nil {
		return nil
	}
	return json.Unmarshal(answer, to)
}

// search wants from least to most traces, and a search that has seen everything it had to.
func (c *collector) search(ctx context.Context, body any, least, most int) error {
	var answer struct {
		Traces    []json.RawMessage `json:"traces"`
		Truncated bool              `json:"truncated"`
	}
	if err := c.ask(ctx, "/traces/search", body, http.StatusOK, &answer); err != nil {
		return err
	}
	if answer.Truncated || len(answer.Traces) < least || len(answer.Traces) > most {
		return fmt.Errorf("%d traces match, truncated %v: %+v", len(answer.Traces), answer.Truncated, body)
	}
	return nil
}

// asker asks questions, one at a time, and keeps how long the answers took.
type asker struct {
	ctx  context.Context
	pid  int // of the process whose processor time is printed too, where it does nothing else; else 0
	made []measure
}

// ask asks n times. The target, in milliseconds, is for so large a share of the answers. A question that is not answered well is a miss,
// and the end of its kind: the others are still worth asking.
func (a *asker) ask(name string, n int, share, target float64, one func(i int) error) {
	var times []float64
	before := a.cpu()
	for i := range n {
		began := time.Now()
		err := one(i)
		if a.ctx.Err() != nil {
			return
		}
		if err != nil {
			fmt.Printf("%-48s %s\n", name, err)
			a.made = append(a.made, measure{name: name, absent: err.Error(), target: target, unit: "ms"})
			return
		}
		times = append(times, time.Since(began).Seconds()*1e3)
	}
	a.made = append(a.made, measure{
		name: fmt.Sprintf("%s, %s of %d", name, percentName(share), n), figure: percentile(times, share), target: target, digits: 1, unit: "ms",
	})
	cpu := ""
	if a.pid != 0 {
		cpu = fmt.Sprintf(", CPU %.1f ms each", (a.cpu()-before).Seconds()*1e3/float64(n))
	}
	fmt.Printf("%-48s p50 %.1f  p95 %.1f  p99 %.1f  most %.1f ms%s\n",
		name, percentile(times, 0.5), percentile(times, 0.95), percentile(times, 0.99), percentile(times, 1), cpu)
}

// cpu is what the process has used; 0 where it is not looked at.
func (a *asker) cpu() time.Duration {
	if a.pid == 0 {
		return 0
	}
	used, _ := cpuTime(a.pid) // of a process that has ended the next answer says so
	return used
}

// byID asks for stored traces.
func (a *asker) byID(c *collector, rng *rand.Rand, loaded *loadedStore, n int, share, target float64) {
	a.ask("trace by id", n, share, target, func(int) error {
		return c.ask(a.ctx, "/traces/"+loaded.IDs[rng.IntN(len(loaded.IDs))], nil, http.StatusOK, nil)
	})
	a.ask("unknown id", n, share, target, func(int) error {
		return c.ask(a.ctx, fmt.Sprintf("/traces/%016x%016x", rng.Uint64()|1, rng.Uint64()), nil, http.StatusNotFound, nil)
	})
}

// anyNumber is more than a page has.
const anyNumber = 1 << 20

// percentile is the value that a share of the values, of which there is at least one, does not exceed.
func percentile(values []float64, share float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[max(0, int(math.Ceil(share*float64(len(sorted))))-1)]
}

func percentName(share float64) string {
	if share == 1 {
		return "the most"
	}
	return fmt.Sprintf("p%.0f", share*100)
}
