// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.it.pool;

import static org.assertj.core.api.Assertions.assertThat;

import io.ksm4j.control.KsmSetting;
import io.ksm4j.it.fixtures.Aside;
import io.ksm4j.junit.EnabledIfKsm;
import io.ksm4j.junit.RunningKsmd;
import io.ksm4j.stats.KsmStats;
import io.ksm4j.testsupport.RunningJvm;
import java.security.SecureRandom;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.parallel.ResourceLock;

/** What {@code ksmd} merges of pools in two JVMs that store the same values, by their domains. */
@EnabledIfKsm(control = true)
@ResourceLock(Aside.MARKED_MEMORY)
class MergeDomainTest {

    private static final int PAGES = 300;

    private final String salt = Long.toString(new SecureRandom().nextLong());

    private RunningJvm member(String... secret) {
        String[] arguments = new String[2 + secret.length];
        arguments[0] = salt;
        arguments[1] = Integer.toString(PAGES);
        System.arraycopy(secret, 0, arguments, 2, secret.length);
        RunningJvm member = RunningJvm.start(DomainMember.class, arguments);
        // Each distinct page once; in a domain, one zero-filled page.
        member.awaitLine("used " + (PAGES + secret.length));
        return member;
    }

    private static String merged(RunningJvm member) {
        member.proceed();
        return member.awaitLineThatContains("merged ");
    }

    /** Two full scans merge what can be merged, unless a scan skips pages. */
    private static void scan(RunningKsmd ksmd) {
        if (KsmStats.read().smartScan().isPresent()) {
            ksmd.set(KsmSetting.SMART_SCAN, 0);
        }
        ksmd.awaitFullScans(4);
    }

    @Test
    void poolsWithTheSameSecretMergeCompletely(RunningKsmd ksmd) {
        try (RunningJvm one = member("the same secret of both");
                RunningJvm other = member("the same secret of both")) {
            scan(ksmd);
            assertThat(merged(one)).isEqualTo("merged " + (PAGES + 1));
            assertThat(merged(other)).isEqualTo("merged " + (PAGES + 1));
        }
    }

    @Tag("long")
    @Test
    void poolsWithDifferentSecretsShareNotOnePage(RunningKsmd ksmd) {
        try (RunningJvm one = member("the secret of the one");
                RunningJvm other = member("the secret of another")) {
            scan(ksmd);
            assertThat(merged(one)).isEqualTo("merged 0");
            assertThat(merged(other)).isEqualTo("merged 0");
        }
    }

    /** The attacker knows every value, and waits for its own copy to become shared. */
    @Test
    void whoHasEveryPlainPageMergesNothing(RunningKsmd ksmd) {
        try (RunningJvm victim = member("the secret of the victim");
                RunningJvm attacker = member()) {
            scan(ksmd);
            assertThat(merged(victim)).isEqualTo("merged 0");
            assertThat(merged(attacker)).isEqualTo("merged 0");
        }
    }

    @Tag("long")
    @Test
    void withoutSecretsEverythingMerges(RunningKsmd ksmd) {
        try (RunningJvm one = member();
                RunningJvm other = member()) {
            scan(ksmd);
            assertThat(merged(one)).isEqualTo("merged " + PAGES);
            assertThat(merged(other)).isEqualTo("merged " + PAGES);
        }
    }
}
