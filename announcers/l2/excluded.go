// SPDX-License-Identifier: Apache-2.0

package l2

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"metalsuite.io/api/reason"
)

// DefaultExcludedInterfaces are the patterns of interfaces that lead to pods, containers and tunnels, not to the network: MetalLB's list.
var DefaultExcludedInterfaces = []string{
	"^docker.*", "^cbr.*", "^dummy.*", "^virbr.*", "^lxcbr.*", "^veth.*", "^lo$", "^cali.*", "^tunl.*", "^flannel.*",
	"^kube-ipvs.*", "^cni.*", "^nodelocaldns.*", "^lxc.*",
}

// compile returns the patterns that can be used, and a problem that names those that cannot, or else the empty one, which excludes every
// interface; nil when there is neither. When no pattern of several is left, the built-in list holds.
func compile(patterns []string) ([]*regexp.Regexp, *reason.Problem) {
	var usable []*regexp.Regexp
	var others []string
	for _, p := range patterns {
		r, err := regexp.Compile(p)
		if err != nil {
			others = append(others, fmt.Sprintf("%q is not a regular expression: %v", p, err))
			continue
		}
		usable = append(usable, r)
	}
	switch {
	case len(others) > 0:
	case slices.Contains(patterns, ""):
		return usable, reason.New(reason.AllInterfacesExcluded, `excluded interfaces: "" matches every interface, so nothing is announced at layer 2`)
	default:
		return usable, nil
	}
	problem := reason.New(reason.InvalidInterfacePattern, "excluded interfaces: %s", strings.Join(others, "; "))
	if len(usable) == 0 {
		usable, _ = compile(DefaultExcludedInterfaces)
		problem.Detail += "; the built-in list is used"
	}
	return usable, problem
}
