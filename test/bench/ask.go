package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net/http"
	"slices"
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

// search wants that many traces at least, none where least is 0, and a search that has seen everything it had to.
func (c *collector) search(ctx context.Context, body *searchBody, least int) error {
	var answer struct {
		Traces    []json.RawMessage `json:"traces"`
		Truncated bool              `json:"truncated"`
	}
	if err := c.ask(ctx, "/traces/search", body, http.StatusOK, &answer); err != nil {
		return err
	}
	if answer.Truncated || len(answer.Traces) < least || least == 0 && len(answer.Traces) > 0 {
		return fmt.Errorf("%d traces match, truncated %v: %+v", len(answer.Traces), answer.Truncated, *body)
	}
	return nil
}

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
