// SPDX-License-Identifier: Apache-2.0

package process

import (
	"strings"
	"testing"

	"github.com/go-logr/logr"
	"github.com/spf13/pflag"
	"go.uber.org/zap/zapcore"
)

func TestLoggerRefusesAMissingNamespace(t *testing.T) {
	if _, err := (&Options{LogLevel: "info"}).Logger(); err == nil {
		t.Fatal("want an error that names the mistake")
	}
}

func TestAnUnknownLogLevelCountsAsInfo(t *testing.T) {
	level, err := logLevel("loud")
	if level != zapcore.InfoLevel || err == nil || !strings.Contains(err.Error(), `unknown log level "loud", info is used`) {
		t.Errorf("level %v, %v", level, err)
	}
	if _, err := (&Options{Namespace: "metallb-system", LogLevel: "loud"}).Logger(); err != nil {
		t.Errorf("the process must not end for it: %v", err)
	}
}

func TestDefaults(t *testing.T) {
	t.Setenv("METALLB_NAMESPACE", "elsewhere")
	var o Options
	flags := pflag.NewFlagSet("role", pflag.ContinueOnError)
	o.Bind(flags)
	if err := flags.Parse([]string{"--port=0", "--health-probe-host=127.0.0.1"}); err != nil {
		t.Fatal(err)
	}
	options := o.ManagerOptions(nil, logr.Discard())
	if o.Namespace != "elsewhere" || o.healthAddress() != "127.0.0.1:17472" || options.Metrics.BindAddress != "0" {
		t.Fatalf("got namespace %q, health %q, metrics %q", o.Namespace, o.healthAddress(), options.Metrics.BindAddress)
	}
}
