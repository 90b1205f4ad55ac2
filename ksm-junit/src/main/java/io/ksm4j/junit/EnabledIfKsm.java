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
 * Enables a test class or method only where memory can be marked mergeable. Elsewhere it is skipped, and the reason is printed to
 * {@code System.err}, since not every build tool shows it. With the system property or JUnit configuration parameter {@code
 * ksm.required} at {@code true} it fails instead, with the same reason: for builds that must not pass without KSM.
 *
 * <p>Marking is all that it looks for: a container may hide {@code /sys/kernel/mm/ksm} and let memory be marked all the same. Tests that
 * read {@link io.ksm4j.stats.KsmStats} ask it whether it {@linkplain io.ksm4j.stats.KsmStats#isAvailable() is available}.
 *
 * <p>With {@link #control()}, constructors, test methods and lifecycle methods may have a parameter of type {@link RunningKsmd}: a
 * {@code ksmd} that runs fast, and whose settings are put back when the test has ended, however it has.
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
 * <p>A parameter of {@code @BeforeAll}, or of the constructor of a class with one instance for all tests, is there for all tests of the
 * class; any other for one test, in which all parameters are the same object. Other tests that ask for one meanwhile wait, in this
 * JVM and in all others of the machine. Where JUnit runs tests at once, it runs those with {@link #control()} one after the other: they
 * share the resource {@value #KSMD}, which other tests may lock, too, with JUnit's {@link ResourceLock}.
 *
 * <p>A backend of ksm4j must be on the class path of the tests, such as {@code io.ksm4j:ksm-ffm}, or {@code io.ksm4j:ksm-jnr} on Java
 * 17. Where the kernel has KSM and no backend works, tests fail: they would be skipped on every machine. Subclasses inherit the
 * annotation.
 */
@Target({ElementType.TYPE, ElementType.METHOD})
@Retention(RetentionPolicy.RUNTIME)
@Documented
@Inherited
@ExtendWith({KsmCondition.class, RunningKsmdResolver.class})
@ResourceLock(providers = KsmdLock.class)
@SuppressWarnings("exports") // JUnit makes them by reflection; nobody else needs to see them.
public @interface EnabledIfKsm {

    /** The resource of JUnit's that tests with {@link #control()} lock. */
    String KSMD = "io.ksm4j.ksmd";

    /**
     * Whether the test changes settings of {@code ksmd}, which takes root. Needed for parameters of type {@link RunningKsmd}.
     *
     * @return true to have it skipped without the right to
     */
    boolean control() default false;
}
