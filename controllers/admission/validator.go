// SPDX-License-Identifier: Apache-2.0

package admission

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	admissionv1 "k8s.io/api/admission/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"metalsuite.io/internal/policy"
)

// answerTime bounds how long a request is looked at. It is less than the 5 s after which the API server goes on without an answer, so
// that the user is told that nothing was checked.
const answerTime = 4 * time.Second

// Register makes a server, such as the webhook.Server of controller-runtime, answer for all kinds. The reader must read live: what the
// user has just created counts. The namespace is that of the suite; now is the clock by which reservations end.
func Register(server interface {
	Register(path string, hook http.Handler)
}, reader client.Reader, namespace string, now func() time.Time) {
	reading, judging := newTurns(readAtOnce), newTurns(judgedAtOnce)
	for _, k := range kinds() {
		handler := &validator{kind: k, reader: reader, namespace: namespace, now: now, turns: judging}
		server.Register(k.path(), bounded{next: &admission.Webhook{Handler: handler}, turns: reading, limit: answerTime})
	}
	server.Register(installationPath, bounded{next: &admission.Webhook{Handler: installationValidator{}}, turns: reading, limit: answerTime})
}

// validator answers for one kind.
type validator struct {
	kind      kind
	reader    client.Reader
	namespace string
	now       func() time.Time
	// turns are shared by all kinds.
	turns turns
}

// Handle implements admission.Handler. It refuses what the verdict refuses and allows everything else, also what it could not check.
func (v *validator) Handle(ctx context.Context, req admission.Request) admission.Response {
	if req.Namespace != v.namespace {
		return v.elsewhere(req)
	}
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	if !v.turns.take(ctx) {
		return admission.Allowed("").WithWarnings(fmt.Sprintf("%s %q was not checked: too many concurrent requests", v.kind.name, req.Name))
	}
	defer v.turns.leave()
	verdict, err := v.verdict(ctx, req)
	if err != nil {
		verdict.warn("%s %q was not checked: %v", v.kind.name, req.Name, err)
	}
	if len(verdict.refusals) > 0 {
		return admission.Denied(strings.Join(verdict.refusals, "\n"))
	}
	return admission.Allowed("").WithWarnings(verdict.warnings...)
}

// elsewhere answers for another namespace, where an object does nothing: it is not to be created there, and may be changed and deleted.
func (v *validator) elsewhere(req admission.Request) admission.Response {
	if req.Operation == admissionv1.Create {
		return admission.Denied(fmt.Sprintf("%s %q: resource must be created in %s namespace", v.kind.name, req.Name, v.namespace))
	}
	return admission.Allowed("")
}

func (v *validator) verdict(ctx context.Context, req admission.Request) (verdict, error) {
	c, err := v.read(req)
	if err != nil || c.to != nil && c.to.GetDeletionTimestamp() != nil {
		return verdict{}, err // an object that is on its way out may lose its finalizers
	}
	if err := v.compile(ctx, &c); err != nil {
		return verdict{}, err
	}
	out := judge(c.object, c.before, c.after)
	if c.to == nil {
		out.warnings, out.refusals = append(out.warnings, out.refusals...), nil
	}
	if v.kind.more == nil {
		return out, nil
	}
	err = v.kind.more(ctx, v.reader, c, &out)
	return out, err
}

// read decodes what changes.
func (v *validator) read(req admission.Request) (c change, err error) {
	c.object = policy.ObjectRef{Kind: v.kind.name, Name: req.Name}
	if len(req.OldObject.Raw) > 0 {
		if c.from, err = v.kind.decode(req.OldObject.Raw); err != nil {
			return c, err
		}
	}
	if len(req.Object.Raw) > 0 {
		c.to, err = v.kind.decode(req.Object.Raw)
	}
	if c.object.Name == "" && c.to != nil {
		c.object.Name = c.to.GetName() // generateName: known in the object first
	}
	return c, err
}

// compile reads the objects and compiles what they say before and after the change. An object that is created counts as the youngest.
func (v *validator) compile(ctx context.Context, c *change) error {
	objects, err := readObjects(ctx, v.reader, v.namespace)
	if err != nil {
		return err
	}
	objects.Now = v.now()
	v.kind.put(&objects, c.object.Name, c.from)
	c.before = policy.Compile(objects)
	if c.from == nil && c.to != nil {
		c.to.SetCreationTimestamp(v.kind.born(&objects))
	}
	v.kind.put(&objects, c.object.Name, c.to)
	c.after, c.objects = policy.Compile(objects), objects
	return nil
}
