// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.junit;

import java.lang.annotation.Documented;
import java.lang.annotation.ElementType;
import java.lang.annotation.Inherited;
import java.lang.annotation.Retention;
import java.lang.annotation.RetentionPolicy;
import java.lang.annotation.Target;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.api.parallel.ResourceLock;

/**
 * Enables a test class or method only where memory can be marked mergeable. Elsewhere the test is skipped, and the
 * reason is printed to {@code System.err}, since not every build tool shows it. If the system property or JUnit
 * configuration parameter {@code ksm.required} is {@code true}, the test fails with this reason instead: for builds
 * that must not pass without KSM.
 *
 * <p>Only marking is checked. A container may hide {@code /sys/kernel/mm/ksm} and still let memory be marked. A test
 * that reads {@link io.ksm4j.stats.KsmStats} should check whether they {@linkplain
 * io.ksm4j.stats.KsmStats#isAvailable() are available}.
 *
 * <p>With {@link #control()}, constructors, test methods and lifecycle methods may have a parameter of type {@link
 * RunningKsmd}: a {@code ksmd} that scans as fast as it can. Its settings are restored after the test, however the test
 * ends.
 *
 * <pre>{@code
 * @EnabledIfKsm(control = true)
 * class CatalogTest {
 *
 *     @Test
 *     void tenantsShareTheCatalog(RunningKsmd ksmd) throws Exception {
 *         try (MergeRegion one = Catalog.load(); MergeRegion other = Catalog.load()) {
 *             ksmd.awaitMerged(List.of(one, other), 0.99);
 *         }
 *     }
 * }
 * }</pre>
 *
 * <p>A parameter of {@code @BeforeAll}, or of the constructor of a class with one instance for all tests, lives as long
 * as the tests of the class. Any other parameter lives for one test, in which all parameters are the same object. Other
 * tests that need {@code ksmd} wait until then, in this JVM and in all other JVMs of the machine. Where JUnit runs
 * tests in parallel, it runs those with {@link #control()} one after the other: they lock the resource {@value #KSMD}.
 * Other tests may lock it, too, with JUnit's {@link ResourceLock}.
 *
 * <p>The class path of the tests must contain a backend of ksm4j, such as {@code io.ksm4j:ksm-ffm}, or {@code
 * io.ksm4j:ksm-jnr} on Java 17. If the kernel has KSM and no backend works, tests fail: otherwise they would be skipped
 * on every machine. Subclasses inherit the annotation.
 * @since 0.1.0
 */
@Target({ElementType.TYPE, ElementType.METHOD})
@Retention(RetentionPolicy.RUNTIME)
@Documented
@Inherited
@ExtendWith({KsmCondition.class, RunningKsmdResolver.class})
@ResourceLock(providers = KsmdLock.class)
@SuppressWarnings("exports") // JUnit creates them by reflection; no other code needs them.
public @interface EnabledIfKsm {

    /** The name of the JUnit resource that tests with {@link #control()} lock. */
    String KSMD = "io.ksm4j.ksmd";

    /**
     * {@return whether the test changes settings of {@code ksmd}} Only root may do that; without this right, the test
     * is skipped. Required for parameters of type {@link RunningKsmd}.
     */
    boolean control() default false;
}
