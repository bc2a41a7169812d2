// SPDX-License-Identifier: Apache-2.0

package speaker

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"metalsuite.io/announcers"
	"metalsuite.io/api/reason"
	"metalsuite.io/internal/kube"
	"metalsuite.io/internal/policy"
)

// How often Secrets are read: those with a password from rereadAfter to a quarter more, so that a new password is used within 30 s; those
// without one more often, since a session waits for it.
const (
	rereadAfter  = 12 * time.Second
	missingAfter = 4 * time.Second
	rereadJitter = 0.25
	// spared is how often a Secret may not be there before its password is given up: one that is replaced by deleting it first, as some
	// tools do, must not cost the session.
	spared     = 2
	secretTime = 5 * time.Second
)

// Passwords reads the Secrets that hold the passwords of sessions. Speakers may get Secrets by name and neither list nor watch them, so
// each is read again from time to time.
//
// Read may be called from any goroutine; everything else happens in Run.
type Passwords struct {
	PasswordsOptions
	wake chan struct{}

	mu      sync.Mutex
	secrets map[string]*secret
}

// PasswordsOptions are what a Passwords is made of.
type PasswordsOptions struct {
	// Reader asks the API server itself.
	Reader    client.Reader
	Namespace string
	// Trigger fires when a password has changed.
	Trigger kube.Trigger
	Clock   clock.Clock
	Log     logr.Logger
}

// secret is one that is read.
type secret struct {
	Password
	// known is whether it was read, or found not to be there, or whether that has failed once.
	known bool
	due   time.Time
	// missed is how often in a row it was not there although its password is in use.
	missed int
}

// NewPasswords returns a reader that reads nothing until Run.
func NewPasswords(o PasswordsOptions) *Passwords {
	return &Passwords{PasswordsOptions: o, wake: make(chan struct{}, 1), secrets: map[string]*secret{}}
}

// Read implements PasswordReader.
func (p *Passwords) Read(names []string) map[string]Password {
	p.mu.Lock()
	defer p.mu.Unlock()
	wanted := make(map[string]bool, len(names))
	var known map[string]Password
	for _, name := range names {
		wanted[name] = true
		s := p.secrets[name]
		switch {
		case s == nil:
			p.secrets[name] = &secret{}
			p.look()
		case s.known:
			if known == nil {
				known = map[string]Password{}
			}
			known[name] = s.Password
		}
	}
	for name := range p.secrets {
		if !wanted[name] {
			delete(p.secrets, name)
		}
	}
	return known
}

func (p *Passwords) look() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// Run reads until the context ends.
func (p *Passwords) Run(ctx context.Context) error {
	timer := p.Clock.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-p.wake:
		case <-timer.C():
		}
		for name := p.next(); name != "" && ctx.Err() == nil; name = p.next() {
			p.read(ctx, name)
		}
		if again := p.rest(); again > 0 {
			timer.Reset(again)
		}
	}
}

// next returns a Secret that is due; empty when none is.
func (p *Passwords) next() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.Clock.Now()
	for name, s := range p.secrets {
		if !s.due.After(now) {
			return name
		}
	}
	return ""
}

// rest is after how long the next Secret is due; zero when there is none.
func (p *Passwords) rest() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	rest, now := time.Duration(0), p.Clock.Now()
	for _, s := range p.secrets {
		rest = soonest(rest, max(s.due.Sub(now), 1))
	}
	return rest
}

// read reads one Secret.
func (p *Passwords) read(ctx context.Context, name string) {
	ctx, cancel := context.WithTimeout(ctx, secretTime)
	defer cancel()
	var object corev1.Secret
	err := p.Reader.Get(ctx, types.NamespacedName{Namespace: p.Namespace, Name: name}, &object)
	if err == nil || apierrors.IsNotFound(err) {
		p.learn(name, passwordOf(name, &object, err == nil), err == nil)
		return
	}
	p.fail(name, err)
}

// learn takes in what a Secret says, if it exists.
func (p *Passwords) learn(name string, read Password, exists bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.secrets[name]
	if s == nil {
		return
	}
	if !exists && s.known && s.Problem == nil && s.missed < spared {
		s.missed++
		s.due = p.Clock.Now().Add(wait.Jitter(missingAfter, rereadJitter))
		p.Log.V(1).Info("Secret not found, the last password stays in use until the cache is current", "name", name)
		return
	}
	s.missed = 0
	changed := !s.known || !s.Password.equal(read)
	s.Password, s.known = read, true
	s.due = p.Clock.Now().Add(wait.Jitter(rereadAfter, rereadJitter))
	if read.Problem != nil {
		s.due = p.Clock.Now().Add(wait.Jitter(missingAfter, rereadJitter))
	}
	if changed {
		p.tell(name, read)
		p.Trigger.Fire()
	}
}

// fail keeps the last known password of a Secret that cannot be read now, since the API server may be away. A Secret that may not be read is
// a warning, as a new password would not be noticed.
func (p *Passwords) fail(name string, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.secrets[name]
	if s == nil {
		return
	}
	s.due = p.Clock.Now().Add(wait.Jitter(missingAfter, rereadJitter))
	if refused := apierrors.IsForbidden(err); s.known && s.Problem == nil && refused {
		read := Password{Value: s.Value, Warning: reason.New(reason.PasswordNotRefreshed, "the Secret %s cannot be read: %v", name, err)}
		if !s.Password.equal(read) {
			s.Password = read
			p.tell(name, read)
			p.Trigger.Fire()
		}
		return
	}
	if s.known {
		p.Log.V(1).Info("Reading the Secret failed, will retry", "name", name, "error", err.Error())
		return
	}
	s.known = true
	s.Problem = reason.New(reason.PasswordSecretMissing, "the Secret %s cannot be read: %v", name, err)
	p.tell(name, s.Password)
	p.Trigger.Fire()
}

func (p *Passwords) tell(name string, read Password) {
	switch {
	case read.Problem != nil:
		p.Log.Info("Secret has no usable password", "name", name, "reason", read.Problem.Reason, "error", read.Problem.Detail)
	case read.Warning != nil:
		p.Log.Info("Secret was read with a warning", "name", name, "reason", read.Warning.Reason, "error", read.Warning.Detail)
	default:
		p.Log.Info("Secret has a new password", "name", name)
	}
}

// passwordOf returns the password in a Secret, or why it has none that can be used. An empty password means a session without one, since
// templates make the Secret in any case; MetalLB does the same.
func passwordOf(name string, object *corev1.Secret, exists bool) Password {
	value, present := object.Data[corev1.BasicAuthPasswordKey]
	why := ""
	switch {
	case !exists:
		why = "does not exist"
	case object.Type != corev1.SecretTypeBasicAuth:
		why = fmt.Sprintf("is of type %s, not %s", object.Type, corev1.SecretTypeBasicAuth)
	case !present:
		why = "has no key " + corev1.BasicAuthPasswordKey
	case len(value) > policy.LongestPassword:
		why = fmt.Sprintf("has a password of more than %d bytes", policy.LongestPassword)
	case len(value) == 0:
		return Password{Warning: reason.New(reason.PasswordEmpty, "the password in the Secret %s is empty, so the session runs without one", name)}
	default:
		return Password{Value: announcers.Secret(value)}
	}
	return Password{Problem: reason.New(reason.PasswordSecretMissing, "the Secret %s %s", name, why)}
}
