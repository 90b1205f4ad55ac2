// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.samples.tenants;

/** What separates the tenants. */
enum TenantHost {
    CLASS_LOADERS("class loaders in one JVM"),
    JVMS("JVMs");

    private final String label;

    TenantHost(String label) {
        this.label = label;
    }

    String label() {
        return label;
    }
}
