package callexport

import (
	"errors"
	"fmt"

	"go.opentelemetry.io/collector/config/configoptional"
	"go.opentelemetry.io/collector/config/configretry"
	"go.opentelemetry.io/collector/exporter/exporterhelper"
)

// Queue is exporterhelper's sending_queue. It may not merge or split calls.
type Queue = configoptional.Optional[exporterhelper.QueueBatchConfig]

// NewDefaultQueue is none; one that is configured merges and splits nothing.
func NewDefaultQueue() Queue {
	queue := exporterhelper.NewDefaultQueueConfig()
	queue.Batch = configoptional.None[exporterhelper.BatchConfig]()
	return configoptional.Default(queue)
}

// NewDefaultRetry is exporterhelper's retry_on_failure, enabled and without end.
func NewDefaultRetry() configretry.BackOffConfig {
	retry := configretry.NewDefaultBackOffConfig()
	retry.MaxElapsedTime = 0
	return retry
}

// CheckQueue refuses a queue that would not leave calls as they are.
func CheckQueue(queue *Queue) error {
	if queue.HasValue() && queue.Get().Batch.HasValue() {
		return errors.New("sending_queue::batch: would merge and split calls, which must stay as they are; remove it")
	}
	return nil
}

// CheckRetry refuses to give up where nobody waits for the outcome: calls would be lost while the server is away.
func CheckRetry(queue *Queue, retry *configretry.BackOffConfig, server string) error {
	if queue.HasValue() && !queue.Get().WaitForResult && (!retry.Enabled || retry.MaxElapsedTime > 0) {
		return fmt.Errorf("retry_on_failure: gives up behind a sending_queue, so that calls would be lost when %s is "+
			"away for longer; set enabled to true and max_elapsed_time to 0", server)
	}
	return nil
}
