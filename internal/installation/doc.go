// SPDX-License-Identifier: Apache-2.0

// Package installation checks the settings of a MetalLB resource that its schema cannot check: regular expressions, label keys, tolerations,
// resources, affinity. Each problem names the path of its field and the fix.
//
// The admission webhook refuses a resource with new problems. The operator renders what Usable leaves of a resource and reports the problems,
// so a resource that was accepted while the webhook was away stops no workload. The package is pure: values in, values out.
package installation
