// SPDX-License-Identifier: Apache-2.0

package permissions

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// Event is what the comparison needs of an audit event (audit.k8s.io/v1).
type Event struct {
	Verb      string    `json:"verb"`
	Time      time.Time `json:"stageTimestamp"`
	UserAgent string    `json:"userAgent"`
	User      struct {
		Username string `json:"username"`
	} `json:"user"`
	ObjectRef struct {
		APIGroup    string `json:"apiGroup"`
		Resource    string `json:"resource"`
		Subresource string `json:"subresource"`
		Namespace   string `json:"namespace"`
		Name        string `json:"name"`
	} `json:"objectRef"`
	ResponseStatus struct {
		Code    int    `json:"code"`
		Message string `json:"message"`
	} `json:"responseStatus"`
}

// accountPrefix starts the user name of every service account of the suite.
const accountPrefix = "system:serviceaccount:metallb-system:"

// account is the service account that made the request; ok is false for another user.
func (e Event) account() (name string, ok bool) {
	return strings.CutPrefix(e.User.Username, accountPrefix)
}

func (e Event) resource() string {
	if e.ObjectRef.Subresource != "" {
		return e.ObjectRef.Resource + "/" + e.ObjectRef.Subresource
	}
	return e.ObjectRef.Resource
}

// undiscovered reports whether the API server refused an owner reference because it has not discovered the owner's kind yet. Its admission
// plugin OwnerReferencesPermissionEnforcement looks for new kinds every ten seconds, and rights are not in question before.
func (e Event) undiscovered() bool {
	return e.forbidden() && strings.Contains(e.ResponseStatus.Message, "cannot find RESTMapping")
}

func (e Event) forbidden() bool { return e.ResponseStatus.Code == http.StatusForbidden }

func (e Event) String() string {
	return fmt.Sprintf("%s %s: %s %s.%s %s/%s: %d", e.Time.Format(time.RFC3339Nano), e.User.Username, e.Verb, e.resource(), e.ObjectRef.APIGroup,
		e.ObjectRef.Namespace, e.ObjectRef.Name, e.ResponseStatus.Code)
}

// uses reports whether the request needed the permission.
func (e Event) uses(p Permission) bool {
	account, ok := e.account()
	return ok && !e.forbidden() && account == p.Account && e.Verb == p.Verb && e.ObjectRef.APIGroup == p.Group && e.resource() == p.Resource &&
		(p.Namespace == "" || e.ObjectRef.Namespace == p.Namespace) && (p.Name == "" || e.ObjectRef.Name == p.Name)
}

// settling is how long the API server may take to know a role that was just written.
const settling = 5 * time.Second

// Findings are the result of a comparison.
type Findings struct {
	// Requests counts the requests of the suite's service accounts.
	Requests int
	// Unused are the permissions that no request needed.
	Unused []Permission
	// Forbidden are requests that were refused although nobody had changed a role or a binding in the 5 s before and none was missing.
	Forbidden []Event
}

// Compare reads an audit log, one event a line, and compares it with the permissions.
func Compare(log io.Reader, grants Grants) (Findings, error) {
	c := comparison{used: map[Permission]bool{}, grants: grants, missing: map[string]bool{}}
	lines := bufio.NewScanner(log)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var e Event
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			return Findings{}, fmt.Errorf("reading an audit event: %w", err)
		}
		c.observe(e)
	}
	for _, p := range grants.Permissions {
		if !c.used[p] {
			c.found.Unused = append(c.found.Unused, p)
		}
	}
	return c.found, lines.Err()
}

type comparison struct {
	grants Grants
	used   map[Permission]bool
	// missing are the roles and bindings that are deleted at this point of the log, changed is when one was last written.
	missing map[string]bool
	changed time.Time
	found   Findings
}

func (c *comparison) observe(e Event) {
	if e.ObjectRef.APIGroup == "rbac.authorization.k8s.io" {
		key := objectKey(e.ObjectRef.Resource, e.ObjectRef.Namespace, e.ObjectRef.Name)
		if !c.grants.Objects[key] {
			return
		}
		c.changed = e.Time
		if e.Verb == "delete" {
			c.missing[key] = true
		} else {
			delete(c.missing, key)
		}
		return
	}
	if _, ours := e.account(); !ours {
		return
	}
	c.found.Requests++
	if e.forbidden() {
		if !e.undiscovered() && len(c.missing) == 0 && e.Time.Sub(c.changed) > settling {
			c.found.Forbidden = append(c.found.Forbidden, e)
		}
		return
	}
	for _, p := range c.grants.Permissions {
		if !c.used[p] && e.uses(p) {
			c.used[p] = true
		}
	}
}
