// SPDX-License-Identifier: Apache-2.0

package permissions

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// keptOwners are objects that an account may change and not delete, each with the reason why the account changes no owner reference of it:
// to change the owners of an object takes the right to delete it where the admission plugin OwnerReferencesPermissionEnforcement is on.
var keptOwners = map[string]string{
	"events":                          "events have no owner",
	"leases":                          "the Lease of an election has no owner",
	"secrets metallb-webhook-cert":    "the Secret with the certificate has no owner",
	"validatingwebhookconfigurations": "only the CA bundle is written",
}

func TestAccountsThatChangeOwnersMayDeleteTheObject(t *testing.T) {
	granted, err := Read(os.DirFS(filepath.Join("..", "..", "..", "config", "rbac")))
	if err != nil {
		t.Fatal(err)
	}
	checked := 0
	for _, p := range granted.Permissions {
		changes := p.Verb == "update" || p.Verb == "patch"
		kept := keptOwners[p.Resource] != "" || keptOwners[p.Resource+" "+p.Name] != ""
		if !changes || kept || strings.Contains(p.Resource, "/") {
			continue
		}
		checked++
		allowed := p
		allowed.Verb = "delete"
		if !slices.Contains(granted.Permissions, allowed) {
			t.Errorf("%s, but not %s: a change of its owners would be forbidden", p, allowed)
		}
	}
	if checked == 0 {
		t.Error("no account may change anything")
	}
}

// The operator's workloads and the Secret block the deletion of the MetalLB resource that owns them; no other owner reference of the suite
// blocks anything.
func TestTheOperatorMayBlockTheDeletionOfTheMetalLBResource(t *testing.T) {
	granted, err := Read(os.DirFS(filepath.Join("..", "..", "..", "config", "rbac")))
	if err != nil {
		t.Fatal(err)
	}
	var finalizing []string
	for _, p := range granted.Permissions {
		if strings.HasSuffix(p.Resource, "/finalizers") {
			finalizing = append(finalizing, p.String())
		}
	}
	if want := []string{"metalsuite-operator: update metallbs/finalizers.metallb.io in namespace metallb-system"}; !slices.Equal(finalizing, want) {
		t.Errorf("got %v, want %v", finalizing, want)
	}
}
