package tracestore

import (
	"bytes"
	"context"
	"sync"
	"time"
)

// reportAge is how long reports are kept of instances that send no more.
const reportAge = time.Hour

// SourceReportTable keeps the reports of sources in memory, for a storage that one process uses. The zero value is empty.
type SourceReportTable struct {
	mu      sync.Mutex // guards reports
	reports map[string]SourceReport
}

// PutSourceReport implements SourceKeeper.
func (t *SourceReportTable) PutSourceReport(ctx context.Context, report SourceReport) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	report.Value = bytes.Clone(report.Value)
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.reports == nil {
		t.reports = make(map[string]SourceReport)
	}
	for instance, other := range t.reports {
		if report.At.Sub(other.At) > reportAge {
			delete(t.reports, instance)
		}
	}
	t.reports[report.Instance] = report
	return nil
}

// SourceReports implements SourceKeeper.
func (t *SourceReportTable) SourceReports(ctx context.Context) ([]SourceReport, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	var reports []SourceReport
	for _, report := range t.reports {
		report.Value = bytes.Clone(report.Value)
		reports = append(reports, report)
	}
	return reports, nil
}
