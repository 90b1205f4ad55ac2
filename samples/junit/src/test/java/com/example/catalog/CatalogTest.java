// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package com.example.catalog;

import static io.ksm4j.junit.KsmAssertions.assertMarked;
import static io.ksm4j.junit.KsmAssertions.assertMerged;
import static io.ksm4j.junit.KsmAssertions.assertNothingMerged;
import static io.ksm4j.junit.KsmAssertions.assertSaved;
import static org.junit.jupiter.api.Assertions.assertEquals;

import io.ksm4j.Ksm;
import io.ksm4j.junit.EnabledIfKsm;
import io.ksm4j.junit.RunningKsmd;
import java.security.SecureRandom;
import java.util.List;
import org.junit.jupiter.api.Test;

class CatalogTest {

    private static final int ARTICLES = 1 << 17;

    /** Random, so that no other memory of this machine is equal. */
    private final long[] listPrices = new SecureRandom().longs(ARTICLES).toArray();

    /** Needs no KSM, so it runs on every machine. */
    @Test
    void aTenantChangesItsOwnPrices() {
        Ksm ksm = Ksm.systemOrFallback();
        try (Catalog one = new Catalog(ksm, listPrices);
                Catalog other = new Catalog(ksm, listPrices)) {
            one.setPrice(7, 1);
            assertEquals(1, one.price(7));
            assertEquals(listPrices[7], other.price(7));
        }
    }

    /** Needs a kernel with KSM, but not root. */
    @Test
    @EnabledIfKsm
    void theCatalogIsMarkedMergeable() {
        try (Catalog catalog = new Catalog(Ksm.system(), listPrices)) {
            assertMarked(catalog.region());
        }
    }

    /** Needs root, and gets a fast ksmd. */
    @Test
    @EnabledIfKsm(control = true)
    void tenantsShareEqualPrices(RunningKsmd ksmd) throws InterruptedException {
        Ksm ksm = Ksm.system();
        try (Catalog one = new Catalog(ksm, listPrices);
                Catalog other = new Catalog(ksm, listPrices)) {
            ksmd.awaitMerged(List.of(one.region(), other.region()), 1);
            assertSaved(one.region().size() / 2, one.region());

            // The tenant with another price has a private copy of one page; all other pages are still shared.
            one.setPrice(7, 1);
            ksmd.awaitFullScans(3);
            assertMerged(1 - 1.0 * ksm.pageSize() / one.region().size(), one.region());
            assertEquals(listPrices[7], other.price(7));
        }
    }

    @Test
    @EnabledIfKsm(control = true)
    void otherPricesShareNothing(RunningKsmd ksmd) {
        Ksm ksm = Ksm.system();
        try (Catalog one = new Catalog(ksm, listPrices);
                Catalog other =
                        new Catalog(ksm, new SecureRandom().longs(ARTICLES).toArray())) {
            ksmd.awaitFullScans(3);
            assertNothingMerged(one.region());
            assertNothingMerged(other.region());
        }
    }
}
