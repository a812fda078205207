package kafkareceiver

import (
	"slices"
	"strings"

	upstream "github.com/open-telemetry/opentelemetry-collector-contrib/receiver/kafkareceiver"
	"go.opentelemetry.io/collector/config/configretry"
	"go.opentelemetry.io/collector/confmap"
	"go.uber.org/zap"
)

// Config is that of the collector's receiver, with defaults that lose nothing.
type Config upstream.Config

var _ confmap.Unmarshaler = (*Config)(nil)

// newConfig has a message marked as read when its spans were taken, or nobody can read it, and tried again until then. The collector's
// receiver marks it first, tries it once, and where error_backoff is merely enabled without any delay.
func newConfig(defaults *upstream.Config) *Config {
	defaults.MessageMarking = upstream.MessageMarking{After: true, OnPermanentError: true}
	defaults.ErrorBackOff = configretry.NewDefaultBackOffConfig()
	defaults.ErrorBackOff.MaxElapsedTime = 0
	return (*Config)(defaults)
}

// Unmarshal implements confmap.Unmarshaler. The collector's receiver takes on_error for on_permanent_error where that is not named.
func (c *Config) Unmarshal(conf *confmap.Conf) error {
	passOver := c.MessageMarking.OnPermanentError
	if err := (*upstream.Config)(c).Unmarshal(conf); err != nil {
		return err
	}
	if !conf.IsSet("message_marking::on_permanent_error") {
		c.MessageMarking.OnPermanentError = passOver
	}
	return nil
}

// Validate implements confmap.Validator.
func (c *Config) Validate() error { return (*upstream.Config)(c).Validate() }

// warn says what whoever changed the defaults puts up with.
func (c *Config) warn(logger *zap.Logger) {
	const remedy = "message_marking.after and error_backoff without max_elapsed_time prevent it"
	ends := !c.ErrorBackOff.Enabled || c.ErrorBackOff.MaxElapsedTime != 0
	switch {
	case !c.MessageMarking.After:
		logger.Warn("messages that are under way are lost in a crash, and what the pipeline refuses may be; " + remedy)
	case ends && c.MessageMarking.OnError:
		logger.Warn("messages whose spans the pipeline refuses for the moment are lost; " + remedy)
	case !c.ErrorBackOff.Enabled: // one that only ends is begun anew
		logger.Warn("a message whose spans the pipeline refuses for the moment stops its partition; " + remedy)
	}
}

// byTopic is a configuration for each topic. The collector's receiver throws away what came with an error from any of its topics, and marks
// what comes behind it: with one topic that nobody may read it would lose spans of the others. Topics that are patterns stay together.
func (c *Config) byTopic() []*upstream.Config {
	all := (*upstream.Config)(c)
	if len(c.Traces.Topics) < 2 || slices.ContainsFunc(c.Traces.Topics, func(topic string) bool { return strings.HasPrefix(topic, "^") }) {
		return []*upstream.Config{all}
	}
	var each []*upstream.Config
	for _, topic := range c.Traces.Topics {
		one := *all
		one.Traces.Topics = []string{topic}
		if one.ConsumerConfig.GroupInstanceID != "" { // which two members of a group cannot have
			one.ConsumerConfig.GroupInstanceID += "-" + topic
		}
		each = append(each, &one)
	}
	return each
}
