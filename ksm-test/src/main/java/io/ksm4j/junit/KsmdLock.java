package io.ksm4j.junit;

import java.lang.reflect.AnnotatedElement;
import java.lang.reflect.Method;
import java.util.List;
import java.util.Set;
import org.junit.jupiter.api.parallel.ResourceLocksProvider;
import org.junit.platform.commons.support.AnnotationSupport;

/**
 * Tells JUnit that tests with control of {@code ksmd} exclude each other. Without that, a class that waits for its tests could be given
 * another such class to run on the same thread, which would wait for ever.
 */
final class KsmdLock implements ResourceLocksProvider {

    private static final Set<Lock> KSMD = Set.of(new Lock("io.ksm4j.ksmd"));

    @Override
    public Set<Lock> provideForClass(Class<?> testClass) {
        return locks(testClass);
    }

    @Override
    public Set<Lock> provideForNestedClass(List<Class<?>> enclosing, Class<?> testClass) {
        return locks(testClass);
    }

    @Override
    public Set<Lock> provideForMethod(List<Class<?>> enclosing, Class<?> testClass, Method testMethod) {
        return locks(testMethod);
    }

    private static Set<Lock> locks(AnnotatedElement element) {
        return AnnotationSupport.findAnnotation(element, EnabledIfKsm.class)
                        .filter(EnabledIfKsm::control)
                        .isPresent()
                ? KSMD
                : Set.of();
    }
}
