// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"unicode/utf8"

	"github.com/go-logr/logr"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"metalsuite.io/api/reason"
	"metalsuite.io/api/v1beta1"
)

func TestTriggerCoalesces(t *testing.T) {
	trigger := NewTrigger()
	trigger.Fire()
	trigger.Fire()
	<-trigger.C()
	select {
	case <-trigger.C():
		t.Fatal("two signals before the reader came must be one")
	default:
	}
}

func TestWriterTriesAgainAndJoins(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	var mu sync.Mutex
	calls := map[string]int{}
	done := make(chan struct{})
	w := NewWriter("test", 2, logr.Discard(), func(_ context.Context, key string) error {
		mu.Lock()
		defer mu.Unlock()
		calls[key]++
		if key == "flaky" && calls[key] < 3 {
			return errors.New("conflict")
		}
		if calls["flaky"] == 3 && calls["plain"] == 1 {
			close(done)
		}
		return nil
	})
	finished := make(chan error, 1)
	w.Enqueue("flaky")
	w.Enqueue("plain")
	go func() { finished <- w.Run(ctx) }()
	<-done
	cancel()
	if err := <-finished; err != nil {
		t.Fatal(err)
	}
}

func TestConditionKeepsItsTransitionTime(t *testing.T) {
	var conditions []metav1.Condition
	if !SetProblem(&conditions, "Ready", nil, reason.AsExpected, 1) {
		t.Fatal("the first one is a change")
	}
	if SetProblem(&conditions, "Ready", nil, reason.AsExpected, 1) {
		t.Fatal("the same again is no change")
	}
	since := metav1.NewTime(conditions[0].LastTransitionTime.Add(-1e9))
	conditions[0].LastTransitionTime = since
	SetCondition(&conditions, "Ready", metav1.ConditionTrue, reason.RollingOut, "other words", 2)
	if !conditions[0].LastTransitionTime.Equal(&since) {
		t.Fatal("the status did not change, so its time must not")
	}
	SetProblem(&conditions, "Ready", reason.New(reason.NoPools, ""), reason.AsExpected, 2)
	if conditions[0].LastTransitionTime.Equal(&since) || conditions[0].Status != metav1.ConditionFalse {
		t.Fatal("a new status has a new time")
	}
}

func TestAStateIsInvalidForProblemsAndValidWithWarnings(t *testing.T) {
	for _, row := range []struct {
		name               string
		problems, warnings []string
		result             v1beta1.ConfigurationResult
		summary            string
		why                reason.Reason
		message            string
	}{
		{"all in use", nil, nil, v1beta1.ConfigurationValid, "", reason.Reconciled, reason.Reconciled.Text().Sentence},
		{"a warning", nil, []string{"a", "b"}, v1beta1.ConfigurationValid, "", reason.ConfigurationWarning, "a\nb"},
		{"problems", []string{"a", "b"}, nil, v1beta1.ConfigurationInvalid, "configuration error: a\nconfiguration error: b", reason.ConfigurationError,
			"configuration error: a\nconfiguration error: b"},
		{"a problem before a warning", []string{"a"}, []string{"b"}, v1beta1.ConfigurationInvalid, "configuration error: a", reason.ConfigurationError, "configuration error: a"},
	} {
		t.Run(row.name, func(t *testing.T) {
			status := v1beta1.ConfigurationStateStatus{Result: v1beta1.ConfigurationInvalid, ErrorSummary: "old"}
			fillState(&status, "valid", row.problems, row.warnings)
			c := status.Conditions[0]
			if status.Result != row.result || status.ErrorSummary != row.summary || c.Reason != string(row.why) || c.Message != row.message ||
				(c.Status == metav1.ConditionTrue) != (row.result == v1beta1.ConfigurationValid) {
				t.Errorf("got %+v", status)
			}
		})
	}
}

func TestTheSummaryOfManyProblemsFitsIntoAnObject(t *testing.T) {
	var status v1beta1.ConfigurationStateStatus
	fillState(&status, "valid", slices.Repeat([]string{strings.Repeat("ü", 500)}, 10000), nil)
	for _, text := range []string{status.ErrorSummary, status.Conditions[0].Message} {
		if len(text) > maxMessage || !utf8.ValidString(text) || !strings.HasPrefix(text, configurationError) {
			t.Errorf("%d bytes beginning with %.40q", len(text), text)
		}
	}
}

func TestTruncateKeepsRunesWhole(t *testing.T) {
	got := truncate(strings.Repeat("ü", 100), 50)
	if len(got) > 50 || !utf8.ValidString(got) {
		t.Fatalf("got %d bytes, valid %v", len(got), utf8.ValidString(got))
	}
}
