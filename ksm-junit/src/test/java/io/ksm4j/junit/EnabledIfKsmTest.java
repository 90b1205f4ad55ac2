// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.junit;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;
import static org.junit.jupiter.api.Assumptions.assumeTrue;
import static org.junit.platform.engine.discovery.DiscoverySelectors.selectClass;

import io.ksm4j.internal.linux.KernelConfig;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.platform.engine.TestExecutionResult;
import org.junit.platform.engine.TestExecutionResult.Status;
import org.junit.platform.testkit.engine.EngineExecutionResults;
import org.junit.platform.testkit.engine.EngineTestKit;
import org.junit.platform.testkit.engine.Event;
import org.opentest4j.AssertionFailedError;
import org.opentest4j.TestAbortedException;

/**
 * Tests on a machine where KSM cannot be used. This module's class path has no backend. Most machines have KSM, and
 * then only the backend is missing, so the tests pretend to run on another operating system.
 */
class EnabledIfKsmTest {

    private static final String REASON = "io.ksm4j:ksm-ffm";

    private static final String SYSTEM = System.getProperty("os.name");

    @BeforeEach
    void pretendAnotherSystem() {
        System.setProperty("os.name", "Plan 9");
    }

    @AfterEach
    void restoreSystem() {
        System.setProperty("os.name", SYSTEM);
    }

    static class Untouched {
        Untouched() {
            throw new AssertionError("must not be created");
        }
    }

    @EnabledIfKsm
    static class OfAClass extends Untouched {
        @Test
        void runs() {}
    }

    static class Inherited extends OfAClass {}

    @EnabledIfKsm(control = true)
    static class WithControl extends Untouched {
        @Test
        void runs(RunningKsmd ksmd) {
            throw new AssertionError(ksmd);
        }
    }

    static class OfAMethod {
        @Test
        @EnabledIfKsm
        void needsKsm() {
            throw new AssertionError("must not run");
        }

        @Test
        void needsNothing() {}
    }

    private static EngineExecutionResults run(Class<?> testClass, boolean required) {
        return EngineTestKit.engine("junit-jupiter")
                .configurationParameter("ksm.required", Boolean.toString(required))
                .selectors(selectClass(testClass))
                .execute();
    }

    private static String skipReason(Event event) {
        return event.getRequiredPayload(String.class);
    }

    private static void assertFailedBecauseRequired(Event event) {
        TestExecutionResult result = event.getRequiredPayload(TestExecutionResult.class);
        assertThat(result.getStatus()).isEqualTo(Status.FAILED);
        assertThat(result.getThrowable().orElseThrow())
                .isExactlyInstanceOf(AssertionFailedError.class)
                .hasMessageStartingWith("-Dksm.required=true, but ")
                .hasMessageContaining(REASON);
    }

    @Test
    void aClassIsSkippedWithTheReason() {
        for (Class<?> testClass : new Class<?>[] {OfAClass.class, Inherited.class, WithControl.class}) {
            EngineExecutionResults results = run(testClass, false);
            assertThat(results.containerEvents().skipped().list())
                    .singleElement()
                    .extracting(EnabledIfKsmTest::skipReason)
                    .asString()
                    .contains(REASON);
            assertThat(results.testEvents().list()).isEmpty();
            assertThat(results.containerEvents().failed().list()).isEmpty();
        }
    }

    @Test
    void aClassFailsWithTheReasonWhereKsmIsRequired() {
        for (Class<?> testClass : new Class<?>[] {OfAClass.class, Inherited.class, WithControl.class}) {
            EngineExecutionResults results = run(testClass, true);
            assertThat(results.containerEvents().failed().list())
                    .singleElement()
                    .satisfies(EnabledIfKsmTest::assertFailedBecauseRequired);
            assertThat(results.containerEvents().skipped().list()).isEmpty();
            assertThat(results.testEvents().list()).isEmpty();
        }
    }

    @Test
    void aClassFailsWhereOnlyABackendIsMissing() {
        restoreSystem();
        assumeTrue(KernelConfig.hasKsm(), "this kernel has no KSM");
        for (Class<?> testClass : new Class<?>[] {OfAClass.class, Inherited.class, WithControl.class}) {
            EngineExecutionResults results = run(testClass, false);
            assertThat(results.containerEvents().failed().list())
                    .singleElement()
                    .satisfies(event -> assertThat(event.getRequiredPayload(TestExecutionResult.class)
                                    .getThrowable()
                                    .orElseThrow())
                            .isExactlyInstanceOf(AssertionFailedError.class)
                            .hasMessageStartingWith("this kernel has KSM, but no backend works: ")
                            .hasMessageContaining(REASON));
            assertThat(results.containerEvents().skipped().list()).isEmpty();
        }
        assertThatExceptionOfType(AssertionFailedError.class)
                .isThrownBy(KsmAssumptions::assumeControl)
                .withMessageContaining("no usable backend");
    }

    @Test
    void onlyTheAnnotatedMethodIsSkipped() {
        EngineExecutionResults results = run(OfAMethod.class, false);
        assertThat(results.testEvents().skipped().list()).singleElement().satisfies(event -> {
            assertThat(event.getTestDescriptor().getDisplayName()).startsWith("needsKsm");
            assertThat(skipReason(event)).contains(REASON);
        });
        assertThat(results.testEvents().succeeded().list())
                .singleElement()
                .satisfies(event ->
                        assertThat(event.getTestDescriptor().getDisplayName()).startsWith("needsNothing"));
    }

    @Test
    void onlyTheAnnotatedMethodFailsWhereKsmIsRequired() {
        EngineExecutionResults results = run(OfAMethod.class, true);
        assertThat(results.testEvents().failed().list())
                .singleElement()
                .satisfies(EnabledIfKsmTest::assertFailedBecauseRequired);
        assertThat(results.testEvents().succeeded().count()).isEqualTo(1);
    }

    @Test
    void assumptionsAreTheSameForOtherEngines() {
        String before = System.getProperty("ksm.required");
        try {
            System.setProperty("ksm.required", "true");
            assertThatExceptionOfType(AssertionFailedError.class)
                    .isThrownBy(KsmAssumptions::assumeKsm)
                    .withMessageStartingWith("-Dksm.required=true, but ")
                    .withMessageContaining(REASON);
            System.clearProperty("ksm.required");
            assertThatExceptionOfType(TestAbortedException.class)
                    .isThrownBy(KsmAssumptions::assumeControl)
                    .withMessageContaining(REASON);
            assertThatExceptionOfType(TestAbortedException.class)
                    .isThrownBy(RunningKsmd::start)
                    .withMessageContaining(REASON);
        } finally {
            if (before != null) {
                System.setProperty("ksm.required", before);
            }
        }
    }
}
