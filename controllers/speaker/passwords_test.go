// SPDX-License-Identifier: Apache-2.0

package speaker

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/go-logr/logr/funcr"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	clocktesting "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"metalsuite.io/api/reason"
	"metalsuite.io/internal/kube"
)

// vault is an API server that has Secrets, or is away.
type vault struct {
	client.Reader
	mu      sync.Mutex
	secrets map[string]corev1.Secret
	away    error
	asked   int
}

func (v *vault) Get(_ context.Context, key client.ObjectKey, into client.Object, _ ...client.GetOption) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.asked++
	found, there := v.secrets[key.Name]
	switch {
	case v.away != nil:
		return v.away
	case !there:
		return apierrors.NewNotFound(schema.GroupResource{Resource: "secrets"}, key.Name)
	}
	found.DeepCopyInto(into.(*corev1.Secret))
	return nil
}

func (v *vault) change(do func()) {
	v.mu.Lock()
	defer v.mu.Unlock()
	do()
}

func (v *vault) asks() int {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.asked
}

func basicAuth(password string) corev1.Secret {
	return corev1.Secret{Type: corev1.SecretTypeBasicAuth, Data: map[string][]byte{"password": []byte(password)}}
}

func TestWhatASecretGives(t *testing.T) {
	for _, row := range []struct {
		name   string
		secret corev1.Secret
		exists bool
		want   string
		why    string
		warns  reason.Reason
	}{
		{"a password", basicAuth("hush"), true, "hush", "", ""},
		{"a password as it stands", basicAuth(" hush\n"), true, " hush\n", "", ""},
		{"the longest", basicAuth(strings.Repeat("x", 80)), true, strings.Repeat("x", 80), "", ""},
		{"one that is too long", basicAuth(strings.Repeat("x", 81)), true, "", "more than 80", ""},
		{"an empty one, for a session without", basicAuth(""), true, "", "", reason.PasswordEmpty},
		{"an empty one of another type", corev1.Secret{Type: corev1.SecretTypeOpaque, Data: map[string][]byte{"password": {}}}, true, "", "Opaque", ""},
		{"no key", corev1.Secret{Type: corev1.SecretTypeBasicAuth, Data: map[string][]byte{"username": []byte("tor")}}, true, "", "no key password", ""},
		{"one of another type", corev1.Secret{Type: corev1.SecretTypeOpaque, Data: map[string][]byte{"password": []byte("hush")}}, true, "", "Opaque", ""},
		{"nothing, as it is not there", corev1.Secret{}, false, "", "does not exist", ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			got := passwordOf("tor", &row.secret, row.exists)
			if string(got.Value) != row.want || (got.Problem == nil) != (row.why == "") {
				t.Fatalf("got %q and %v", string(got.Value), got.Problem)
			}
			if row.why != "" && !strings.Contains(got.Problem.Detail, row.why) {
				t.Errorf("got %q, want %q in it", got.Problem.Detail, row.why)
			}
			if got.Warning != nil && got.Warning.Reason != row.warns || got.Warning == nil && row.warns != "" {
				t.Errorf("got the warning %v, want %q", got.Warning, row.warns)
			}
		})
	}
}

// readers are Passwords that run on a fake clock.
type readers struct {
	t     *testing.T
	vault *vault
	clock *clocktesting.FakeClock
	fired kube.Trigger
	*Passwords
}

func startReading(t *testing.T, log logr.Logger) readers {
	r := readers{t: t, vault: &vault{secrets: map[string]corev1.Secret{}}, clock: clocktesting.NewFakeClock(time.Unix(1000, 0)), fired: kube.NewTrigger()}
	r.Passwords = NewPasswords(PasswordsOptions{Reader: r.vault, Namespace: namespace, Trigger: r.fired, Clock: r.clock, Log: log})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return r
}

// until waits until the trigger has fired and what is known then is what the test wants.
func (r readers) until(what string, wanted func(map[string]Password) bool, names ...string) {
	r.t.Helper()
	deadline := time.After(patience)
	for {
		select {
		case <-r.fired.C():
			if wanted(r.Read(names)) {
				return
			}
		case <-deadline:
			r.t.Fatalf("never seen: %s; known are %v", what, r.Read(names))
		}
	}
}

// pass lets time go by once the reader waits for it, until it has read what was due and waits again. A reader that reads has no timer that
// runs: what the test changes afterwards is never read by what was due before.
func (r readers) pass(d time.Duration) {
	r.t.Helper()
	waits := func() {
		r.t.Helper()
		NewWithT(r.t).Eventually(r.clock.HasWaiters).WithTimeout(patience).Should(BeTrue(), "the reader waits")
	}
	waits()
	r.clock.Step(d)
	waits()
}

func TestPasswordsFollowTheirSecrets(t *testing.T) {
	r := startReading(t, logr.Discard())
	r.vault.change(func() { r.vault.secrets["tor"] = basicAuth("one") })
	if known := r.Read([]string{"tor", "gone"}); len(known) != 0 {
		t.Fatalf("before it was read: got %v", known)
	}
	r.until("the Secrets are read", func(known map[string]Password) bool {
		return known["tor"].Value == "one" && known["gone"].Problem != nil
	}, "tor", "gone")

	r.vault.change(func() { r.vault.secrets["gone"] = basicAuth("late") })
	r.pass(2 * missingAfter)
	r.until("a Secret has come", func(known map[string]Password) bool { return known["gone"].Value == "late" }, "tor", "gone")

	r.vault.change(func() { r.vault.secrets["tor"] = basicAuth("two") })
	r.pass(15 * time.Second)
	r.until("it has another password", func(known map[string]Password) bool { return known["tor"].Value == "two" }, "tor", "gone")

	r.vault.change(func() { r.vault.away = errors.New("no route to host") })
	r.pass(15 * time.Second)
	r.pass(15 * time.Second)
	if known := r.Read([]string{"tor", "gone"}); known["tor"].Value != "two" || known["tor"].Problem != nil {
		t.Fatalf("while the API server is away: got %v", known)
	}

	r.vault.change(func() { r.vault.away = nil; delete(r.vault.secrets, "tor") })
	r.Read([]string{"tor"})
	for _, after := range []time.Duration{15 * time.Second, 2 * missingAfter} {
		asked := r.vault.asks()
		r.pass(after)
		if again := r.vault.asks(); again == asked {
			t.Fatalf("after %v nobody has asked again", after)
		}
		if known := r.Read([]string{"tor"}); known["tor"].Value != "two" || known["tor"].Problem != nil {
			t.Fatalf("a Secret that may come back: got %v", known)
		}
	}
	r.pass(2 * missingAfter)
	r.until("a Secret has gone, and nobody asks for the other one", func(known map[string]Password) bool {
		return known["tor"].Problem != nil && len(known) == 1
	}, "tor")
}

func TestASecretThatIsReplacedCostsNothing(t *testing.T) {
	p := NewPasswords(PasswordsOptions{Trigger: kube.NewTrigger(), Clock: clocktesting.NewFakeClock(time.Unix(1000, 0)), Log: logr.Discard()})
	p.Read([]string{"tor"})
	here, gone := Password{Value: "hush"}, passwordOf("tor", &corev1.Secret{}, false)
	for _, read := range []struct {
		Password
		lost bool
	}{{here, false}, {gone, false}, {gone, false}, {here, false}, {gone, false}, {gone, false}, {gone, true}, {gone, true}, {here, false}, {gone, false}} {
		p.learn("tor", read.Password, read.Problem == nil)
		if known := p.Read([]string{"tor"})["tor"]; (known.Problem != nil) != read.lost || (known.Value == "") != read.lost {
			t.Fatalf("after %v: got %v", read, known)
		}
	}
}

func TestASecretThatWasNeverReadIsAProblem(t *testing.T) {
	r := startReading(t, logr.Discard())
	r.vault.change(func() { r.vault.away = errors.New("no route to host") })
	r.Read([]string{"tor"})
	r.until("it says why", func(known map[string]Password) bool {
		return known["tor"].Problem != nil && strings.Contains(known["tor"].Problem.Detail, "no route")
	}, "tor")
	r.vault.change(func() { r.vault.away, r.vault.secrets["tor"] = nil, basicAuth("hush") })
	r.pass(2 * missingAfter)
	r.until("it is read", func(known map[string]Password) bool {
		return known["tor"].Value == "hush" && known["tor"].Problem == nil
	}, "tor")
}

func TestASecretThatMayNotBeReadAnyMoreIsAWarning(t *testing.T) {
	r := startReading(t, logr.Discard())
	r.vault.change(func() { r.vault.secrets["tor"] = basicAuth("hush") })
	r.Read([]string{"tor"})
	r.until("it is read", func(known map[string]Password) bool { return known["tor"].Value == "hush" }, "tor")
	r.vault.change(func() {
		r.vault.away = apierrors.NewForbidden(schema.GroupResource{Resource: "secrets"}, "tor", errors.New("no rule"))
	})
	r.pass(15 * time.Second)
	r.until("it warns and keeps the password", func(known map[string]Password) bool {
		tor := known["tor"]
		return tor.Value == "hush" && tor.Problem == nil && tor.Warning != nil && tor.Warning.Reason == reason.PasswordNotRefreshed
	}, "tor")
	r.vault.change(func() { r.vault.away = nil })
	r.pass(2 * missingAfter)
	r.until("it is read again", func(known map[string]Password) bool { return known["tor"] == Password{Value: "hush"} }, "tor")
}

func TestAnEmptyPasswordIsKeptWhileItsSecretIsReplaced(t *testing.T) {
	p := NewPasswords(PasswordsOptions{Trigger: kube.NewTrigger(), Clock: clocktesting.NewFakeClock(time.Unix(1000, 0)), Log: logr.Discard()})
	p.Read([]string{"tor"})
	secret := basicAuth("")
	p.learn("tor", passwordOf("tor", &secret, true), true)
	p.learn("tor", passwordOf("tor", &corev1.Secret{}, false), false)
	if known := p.Read([]string{"tor"})["tor"]; known.Problem != nil || known.Warning == nil {
		t.Errorf("got %+v", known)
	}
}

func TestNoPasswordIsLogged(t *testing.T) {
	var mu sync.Mutex
	var lines []string
	r := startReading(t, funcr.New(func(prefix, args string) {
		mu.Lock()
		defer mu.Unlock()
		lines = append(lines, prefix+args)
	}, funcr.Options{Verbosity: 9}))
	r.vault.change(func() { r.vault.secrets["tor"] = basicAuth("hush-hush") })
	r.Read([]string{"tor"})
	r.until("it is read", func(known map[string]Password) bool { return len(known) == 1 }, "tor")
	known := r.Read([]string{"tor"})
	mu.Lock()
	defer mu.Unlock()
	all := strings.Join(lines, "\n") + fmt.Sprintf("%v %+v %#v", known, World{Passwords: known}, known)
	if len(lines) == 0 || strings.Contains(all, "hush-hush") {
		t.Errorf("got %s", all)
	}
}
